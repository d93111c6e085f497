"""A store in a folder of this host."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from runtime.store.interface import ANY, Conflict, Entry, Missing, Replaces, StoreError

_PARTIAL = ".partial-"
CHUNK_BYTES = 2**20


class FolderStore:
    """Keys are paths below the folder; a write appears by a rename, so that a reader never sees half of it."""

    def __init__(self, folder: Path) -> None:
        """Nothing is touched yet."""
        self.uri = str(folder)
        self._folder = folder

    def read(self, key: str) -> tuple[bytes, str]:
        """See Store."""
        with self._refusals(key):
            data = self._path(key).read_bytes()
        return data, _tag(data)

    def download(self, key: str, file: Path) -> None:
        """See Store."""
        with self._refusals(key):
            source = self._path(key).open("rb")
        with source, _appearing(file) as part, part.open("wb") as target:
            target.writelines(self._chunks(source, key))  # a full disk there is no fault of this store

    def write(self, key: str, data: bytes, *, replaces: Replaces = ANY) -> str:
        """See Store."""
        path = self._path(key)
        with self._refusals(key):
            path.parent.mkdir(parents=True, exist_ok=True)
            with _locked(path.parent):
                if replaces is not ANY:
                    self._check(key, replaces)
                with _appearing(path) as part:
                    _write_through(part, data)
        return _tag(data)

    def upload(self, key: str, file: Path) -> None:
        """See Store."""
        path = self._path(key)
        with self._refusals(key):
            path.parent.mkdir(parents=True, exist_ok=True)
            with _appearing(path) as part:
                shutil.copyfile(file, part)

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """See Store."""
        found = (Path(root, name) for root, _, names in os.walk(self._folder) for name in names)
        keys = sorted(file.relative_to(self._folder).as_posix() for file in found if not file.name.startswith("."))
        for key in keys:
            if key.startswith(prefix):
                with suppress(FileNotFoundError):  # deleted meanwhile
                    yield Entry(key, (self._folder / key).stat().st_size)

    def delete(self, key: str) -> None:
        """See Store."""
        path = self._path(key)
        with self._refusals(key):
            path.unlink(missing_ok=True)
            with suppress(OSError):  # not empty, or gone
                while path.parent != self._folder:
                    path = path.parent
                    path.rmdir()

    def create(self) -> bool:
        """See Store."""
        new = not self._folder.is_dir()
        with self._refusals(""):
            self._folder.mkdir(parents=True, exist_ok=True)
        return new

    def _check(self, key: str, expected: str | None) -> None:
        try:
            there = self.read(key)[1]
        except Missing:
            there = None
        if there != expected:
            raise Conflict(f"{self.uri}/{key}: somebody else has written it meanwhile; look at it and try again")

    def _path(self, key: str) -> Path:
        path = self._folder / key
        if not key or ".." in Path(key).parts or Path(key).is_absolute():
            raise StoreError(f"{self.uri}: {key!r} is no key inside this folder")
        return path

    def _chunks(self, source: BinaryIO, key: str) -> Iterator[bytes]:
        with self._refusals(key):
            while chunk := source.read(CHUNK_BYTES):
                yield chunk

    @contextmanager
    def _refusals(self, key: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise Missing(f"{self.uri}/{key}: is not there") from error
        except OSError as error:
            raise StoreError(f"{self.uri}/{key}: {error.strerror}; check the folder and its permissions") from error


@contextmanager
def _appearing(file: Path) -> Iterator[Path]:
    """A name beside `file` to write to, which becomes `file` at the end of the block."""
    handle, name = tempfile.mkstemp(prefix=_PARTIAL, dir=file.parent)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        part.chmod(0o644)
        part.replace(file)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep out other writes into the same folder, of other processes, too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _write_through(file: Path, data: bytes) -> None:
    with file.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _tag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
