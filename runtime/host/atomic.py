"""Atomic rename: write to a temporary name, then rename, so that a reader never sees a partial file or folder.

A temporary name is locked (flock) while its writer lives. One that can be locked was left by a killed process, and
`remove_abandoned` removes it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TEMPORARY = ".partial-"


@contextmanager
def whole_file(file: Path, *, mode: int = 0o644) -> Iterator[Path]:
    """Atomic write: yields a temporary path in the same folder, which is renamed to `file` if the block succeeds.

    Until then nobody but its owner can read it, whatever `mode` says.
    """

    def make() -> Path:
        handle, name = tempfile.mkstemp(prefix=TEMPORARY, dir=file.parent)
        os.close(handle)
        return Path(name)

    with _locked(make) as part:
        try:
            yield part
            part.chmod(mode)
            part.replace(file)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Lock a folder (flock) against other users of this function, in any process; raises FileNotFoundError."""
    while True:
        handle = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if not os.path.samestat(os.fstat(handle), folder.stat()):
                continue  # removed and made anew meanwhile
            yield
            return
        finally:
            os.close(handle)


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """A temporary folder in `parent`, on the same disk, so that its content can be renamed; removed after the block."""
    with _locked(lambda: Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=parent))) as folder:
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def remove_folder(folder: Path) -> None:
    """Remove a folder atomically: no reader finds half of it. Idempotent."""
    with suppress(FileNotFoundError), temporary_folder(folder.parent) as trash:
        folder.rename(trash / folder.name)


def remove_abandoned(folder: Path) -> int:
    """Remove temporary files of killed writers in `folder` and below; returns how many. Never raises OSError."""
    removed = 0
    for root, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            if name.startswith(TEMPORARY):
                with suppress(OSError):  # in use, gone by now, or not ours to remove
                    _remove_unlocked(Path(root, name))
                    removed += 1
        folders[:] = [name for name in folders if not name.startswith(TEMPORARY)]
    return removed


def _remove_unlocked(path: Path) -> None:
    """Raises OSError (BlockingIOError) while the writer of `path` lives."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # to open a pipe would wait for its writer
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    finally:
        os.close(handle)


@contextmanager
def _locked(make: Callable[[], Path]) -> Iterator[Path]:
    """The path that `make` creates, locked; created again if another process removed it before it was locked."""
    while True:
        path = make()
        try:
            handle = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if not path.exists():
                continue
            yield path
            return
        finally:
            os.close(handle)
