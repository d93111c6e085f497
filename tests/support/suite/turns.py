"""Turns between the workers of pytest: what uses a browser waits until the tests of containers have ended.

Chromium gives up its requests when a network interface comes or goes, as those of containers do (ERR_NETWORK_CHANGED).
The lock is a file's, so that a worker that is killed lets the others go on.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def folder_of_all_workers(folders: pytest.TempPathFactory) -> Path:
    """A folder that all workers of a run share; where one process has one test after the other, it is its own."""
    own = folders.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@contextmanager
def containers_come_and_go(folder: Path) -> Iterator[None]:
    """Keep browsers of other workers waiting during the block."""
    with _locked(folder, fcntl.LOCK_SH):
        yield


def wait_for_containers(folder: Path) -> None:
    """Wait until no worker has tests of containers to run. They begin first, and do not begin again."""
    with _locked(folder, fcntl.LOCK_EX):
        pass


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    with (folder / "containers.lock").open("w") as file:
        fcntl.flock(file, how)
        yield
