from __future__ import annotations

from pathlib import Path

import pytest

from runtime.store import Store, open_store
from tests.support.stores.s3 import S3Server


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A new, empty store: a folder, and a bucket of a real S3 server."""
    if request.param == "folder":
        return open_store(str(tmp_path / "store"))
    server: S3Server = request.getfixturevalue("s3")
    return server.new_bucket(f"r{abs(hash(request.node.nodeid)) % 10**12}")
