"""The workspace's SQLite database: one connection for all threads, every change one transaction."""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.host.atomic import alone_in
from runtime.teaching.workspace.errors import NoRoom, Unusable
from runtime.teaching.workspace.schema import VERSION, migrate, version_of

FILE = "teaching.db"
BUSY_S = 10.0  # the longest wait for another process that is writing
FULL = {errno.ENOSPC, errno.EDQUOT}
_FEW_PAGES = 2 * 2**15  # bytes: the index of the write-ahead log grows by half of it


class Database:
    """Thread-safe. Whatever is killed in the middle of a change, the next reader finds all of it or nothing."""

    def __init__(self, folder: Path) -> None:
        """Open or make the database in `folder`; raises Unusable, and NoRoom if the disk is full."""
        self.file = folder / FILE
        self._lock = threading.RLock()
        with disk_of(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # photos are nobody else's business
            with alone_in(folder):  # of two processes one makes the tables
                self._connection = self._open()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for one thread at a time."""
        with self._lock, disk_of(self.file.parent):
            yield self._connection

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep all other threads from reading and changing, for files that go with a change."""
        with self._lock:
            yield

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """The connection in a transaction, which an exception rolls back; raises NoRoom if the disk is full."""
        with self.reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # a full disk may have ended it
                    connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.file, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            connection.row_factory = sqlite3.Row
            self._check_version(version_of(connection))
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA foreign_keys = ON")
            migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _check_version(self, found: int) -> None:
        if found > VERSION:
            raise Unusable(
                f"{self.file}: has schema version {found}, and this release knows {VERSION}; start the newer release "
                "again, or move the folder away to begin anew. Nothing in it was changed"
            )


@contextmanager
def disk_of(folder: Path) -> Iterator[None]:
    """Say in a sentence what is wrong with the disk below the block: raises NoRoom and Unusable."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise _full(folder, error) from error
        raise Unusable(
            f"{folder}: cannot be used ({error.strerror or error}); make it a folder that can be written"
        ) from error
    except sqlite3.DatabaseError as error:
        raise _of_sqlite(error, folder) from error


def _of_sqlite(error: sqlite3.DatabaseError, folder: Path) -> Exception:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest tells more of the same
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _is_full(folder)):
        return _full(folder, error)
    if code == sqlite3.SQLITE_IOERR:
        name = getattr(error, "sqlite_errorname", "SQLITE_IOERR")
        return Unusable(
            f"{folder / FILE}: the disk fails to read or write it ({error}, {name}), and is not full; look into the "
            "system's log for the disk's errors, and at the limits of files and memory. Then do it again"
        )
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return Unusable(f"{folder / FILE}: another process has been writing for {BUSY_S:g} s; do it again")
    if code in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}:
        return Unusable(f"{folder / FILE}: cannot be used ({error}); mend it, or move it away to begin anew")
    return error


def _is_full(folder: Path) -> bool:
    """Whether there is no room for a few pages more. SQLite has one code for that and for a broken disk.

    So it is where a quota is used up, and where there is no room for the index of the write-ahead log.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_FEW_PAGES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno in FULL
    return False


def _full(folder: Path, error: Exception) -> NoRoom:
    why = error.strerror if isinstance(error, OSError) else str(error)
    return NoRoom(f"the disk of {folder} is full ({why}); make room there and do it again, nothing was lost")
