from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.appliances.servers import Appliance, appliance
from tests.support.models.bundles import write_bundle

SETTINGS = {
    "DANDELION_HEAD_TIMEOUT_S": "2",
    "DANDELION_MAX_CONNECTIONS": "24",
    "DANDELION_UPLOAD_MEMORY_MB": "4",
    "DANDELION_MAX_UPLOAD_MB": "3",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    """An appliance with small limits."""
    folder = tmp_path_factory.mktemp("wire")
    with appliance(folder, "--bundle", str(write_bundle(folder / "v7")), **SETTINGS) as running:
        yield running
        assert running.alive
        assert "Traceback" not in running.log.read_text()
