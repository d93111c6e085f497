"""Object store in a local folder: atomic renames, conditional writes under a file lock."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path

from runtime.host.atomic import alone_in, remove_abandoned, whole_file
from runtime.store.interface import (
    ANY,
    Conflict,
    Denied,
    Digest,
    Entry,
    Missing,
    Replaces,
    StoreError,
    TooLarge,
    checked_key,
    is_key,
)

CHUNK_BYTES = 2**20
ATTEMPTS = 50  # to write into a folder that others remove concurrently; each failure means progress of another writer
STEP_S, LONGEST_WAIT_S = 0.0005, 0.02  # the wait before the next grows by the one, up to the other


class FolderStore:
    """Keys are paths below the folder; a write is an atomic rename, so that a reader never sees a partial file."""

    def __init__(self, folder: Path) -> None:
        """Nothing is touched yet."""
        self.uri = str(folder)
        self._folder = folder

    def read(self, key: str, *, max_bytes: int) -> tuple[bytes, str]:
        """See Store."""
        with self._open(key) as source:
            data = b"".join(self._chunks(source, key, max_bytes))
        return data, _tag(data)

    def tag(self, key: str) -> str | None:
        """See Store."""
        try:
            with self._open(key) as source:
                return hashlib.file_digest(source, "sha256").hexdigest()
        except Missing:
            return None

    def digest(self, key: str, *, max_bytes: int) -> Digest:
        """See Store."""
        with self._open(key) as source:
            return Digest.of(self._chunks(source, key, max_bytes))

    def download(self, key: str, file: Path, *, max_bytes: int) -> None:
        """See Store."""
        with self._open(key) as source, whole_file(file) as part, part.open("wb") as target:
            target.writelines(self._chunks(source, key, max_bytes))  # a full disk there is no fault of this store

    def write(self, key: str, data: bytes, *, replaces: Replaces = ANY) -> str:
        """See Store."""
        path = self._path(key)

        def put() -> None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with alone_in(path.parent):
                if replaces is not ANY:
                    self._check(key, replaces)
                with whole_file(path) as part:
                    _write_through(part, data)

        with self._refusals(key):
            _though_folders_go(put)
        return _tag(data)

    def upload(self, key: str, file: Path) -> None:
        """See Store."""
        path = self._path(key)

        def put() -> None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as part:
                shutil.copyfile(file, part)

        with self._refusals(key):
            _though_folders_go(put)

    def list(self, prefix: str = "", *, invalid: bool = False, at_most: int | None = None) -> Iterator[Entry]:
        """See Store."""
        parent = prefix.rpartition("/")[0]
        top = self._folder if ".." in parent.split("/") else self._folder / parent  # a whole dataset may lie beside
        found = (Path(root, name) for root, _, names in os.walk(top, onerror=self._unlisted) for name in names)
        keys = sorted(file.relative_to(self._folder).as_posix() for file in found if not file.name.startswith("."))
        keys = [key for key in keys if key.startswith(prefix) and (invalid or is_key(key))]
        if at_most is not None and len(keys) > at_most:
            raise TooLarge.many(at_most, f"{self.uri}/{prefix}")
        for key in keys:
            with suppress(OSError):  # deleted meanwhile, or a link to itself
                found_now = (self._folder / key).stat()
                yield Entry(key, found_now.st_size, found_now.st_mtime)

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

    def remove_abandoned(self, prefix: str = "") -> int:
        """Remove temporary files, and folders that are empty: a `delete` that was killed leaves one."""
        removed = remove_abandoned(self._folder / prefix)
        for root, folders, _ in os.walk(self._folder / prefix, topdown=False):
            for name in folders:
                if not name.startswith("."):  # as those do that are in use, empty or not
                    with suppress(OSError):  # not empty, or gone
                        Path(root, name).rmdir()
                        removed += 1
        return removed

    def _check(self, key: str, expected: str | None) -> None:
        if self.tag(key) != expected:
            raise Conflict(f"{self.uri}/{key}: another writer has changed it meanwhile; look at it and try again")

    def _path(self, key: str) -> Path:
        return self._folder / checked_key(self.uri, key)

    def _open(self, key: str) -> BufferedReader:
        with self._refusals(key):
            handle = os.open(self._path(key), os.O_RDONLY | os.O_NONBLOCK)  # to open a pipe would wait for its writer
            if stat.S_ISREG(os.fstat(handle).st_mode):
                return os.fdopen(handle, "rb")
            os.close(handle)
            raise Missing(f"{self.uri}/{key}: is not a plain file")

    def _chunks(self, source: BufferedReader, key: str, max_bytes: int) -> Iterator[bytes]:
        left = max_bytes
        with self._refusals(key):
            while chunk := source.read(min(CHUNK_BYTES, left + 1)):  # one more tells that there is more
                left -= len(chunk)
                if left < 0:
                    raise TooLarge.than(max_bytes, f"{self.uri}/{key}")
                yield chunk

    def _unlisted(self, error: OSError) -> None:
        """Name a folder that cannot be listed: without what it holds the list would be incomplete, and nobody know."""
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            with self._refusals(os.path.relpath(error.filename, self._folder)):
                raise error

    @contextmanager
    def _refusals(self, key: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, NotADirectoryError) as error:
            raise Missing(f"{self.uri}/{key}: is not there") from error
        except OSError as error:
            kind = Denied if isinstance(error, PermissionError) else StoreError
            raise kind(f"{self.uri}/{key}: {error.strerror}; check the folder and its permissions") from error


def _though_folders_go(put: Callable[[], None]) -> None:
    """Have `put` make its folder anew where others found that empty, and removed it, before there was a file in it."""
    for attempt in range(1, ATTEMPTS):
        with suppress(FileNotFoundError, FileExistsError):  # the latter is what making one says that goes meanwhile
            return put()
        time.sleep(random.uniform(0, min(attempt * STEP_S, LONGEST_WAIT_S)))  # noqa: S311 - such that all come further
    return put()


def _write_through(file: Path, data: bytes) -> None:
    with file.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _tag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
