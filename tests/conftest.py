from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.kills.killing import Killer, killer
from tests.support.stores.s3 import S3Server, s3_server
from tests.support.suite.groups import cannot_be_imported, group_of, is_left_out, rank, scope_of
from tests.support.suite.system_packages import install_line
from tests.support.web.client_files import share_certificates, share_service_models

pytest_plugins = ["tests.support.models.trained"]

# One worker of pytest runs for each core: with a thread for each core besides, those of OpenMP, which PyTorch computes
# with, wait for one another by spinning. Training took three times the CPU seconds.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A fetch brings what a test says, and nothing from the network besides.
os.environ["DANDELION_OTHER"] = "no"

# What is imported and collected stays to the end: to look through all of it for garbage, again and again, takes a
# quarter of the collection's CPU time, and more later.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    left_out = is_left_out(collection_path, config.getoption("markexpr"))
    return True if left_out or cannot_be_imported(collection_path) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its group; the groups that take longest begin first."""
    for item in items:
        group = group_of(item.path)
        if group:
            item.add_marker(group)
        if {"checkpoint_file", "unknown_checkpoint_file"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("training")
    items.sort(key=lambda item: rank(item.path))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep together, in one worker, what shares servers or images.

    With pytest 9.2, xdist 3.8 ignores its own `xdist_group` (findings/pytest-xdist-groups.sh).
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return scope_of(nodeid)

    return ByGroup(config, log)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    skipped = (str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", []))
    line = install_line(skipped)
    if line:
        terminalreporter.write_line(f"skipped tests need: {line}", yellow=True)


@pytest.fixture(scope="session", autouse=True)
def patient_clients() -> None:
    """Give httpx a minute where a test names no time: on a busy machine its own 5 s are no sign of a fault.

    There is no setting for it, but all its functions and clients share one default.
    """
    default: httpx.Timeout = httpx.get.__kwdefaults__["timeout"]
    default.connect = default.read = default.write = default.pool = 60


@pytest.fixture(scope="session", autouse=True)
def quick_clients() -> None:
    """Have clients share the files that each would read for itself."""
    share_certificates()
    share_service_models()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server for all tests; each makes a bucket of its own."""
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def mortal_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A server of its own, to be killed."""
    with s3_server(tmp_path_factory.mktemp("mortal")) as server:
        yield server


@pytest.fixture(scope="session")
def kills(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killer]:
    """A process that runs operations and kills them, for all tests: it has imported what they do."""
    with killer(tmp_path_factory.mktemp("killer")) as running:
        yield running
