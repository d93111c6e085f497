from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.deploy.engine import ROOT, Engine, build_environment, this_engine


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with this_engine(tmp_path_factory.mktemp("dockerd")) as engine:
        yield engine


@pytest.fixture(scope="session")
def image(engine: Engine) -> str:
    """The appliance image of this work tree."""
    name = "dandelion:under-test"
    done = subprocess.run(
        ["deploy/image.sh", "appliance"],
        cwd=ROOT,
        env=os.environ | build_environment() | {"IMAGE": name},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return name
