"""The inbox: photos whose answer was uncertain or unknown, kept with consent until somebody looks at them.

Their files lie beside those of the datasets. Of photos that somebody has looked at only a row is left, so that the very
same photo is not kept again.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from runtime.teaching.workspace.database import Database
from runtime.teaching.workspace.errors import NotThere
from runtime.teaching.workspace.files import INBOX, Files
from runtime.teaching.workspace.history import drop

DAY_S = 24 * 3600.0

Doubt = Literal["uncertain", "unknown"]
Dropped = Literal["oldest", "expired"]
Settled = Literal["accepted", "rejected"]


class InboxBounds(msgspec.Struct, frozen=True):
    """How many photos may wait, their bytes together, and for how many days; with 0 photos none are kept."""

    photos: int = 0
    size_bytes: int = 256 * 2**20
    days: float = 30.0


class Doubtful(msgspec.Struct, frozen=True):
    """What was answered to a photo: a label, or none if it is unknown; `confidence` is a probability."""

    kind: Doubt
    label: str | None
    confidence: float
    product: str
    version: str


class Kept(msgspec.Struct, frozen=True):
    """A photo that waits; `received` is in seconds since 1970, `number` counts photos in the order they came."""

    number: int
    sha256: str
    answer: Doubtful
    received: float

    @property
    def product(self) -> str:
        """The name of the model that answered."""
        return self.answer.product


class Waiting(msgspec.Struct, frozen=True):
    """How many photos wait, their bytes, and when the oldest came, in seconds since 1970; None where none waits."""

    photos: int
    size_bytes: int
    oldest: float | None = None

    def age_s(self) -> float:
        """How long the oldest has waited by now; 0 where none waits, and where the clock was put back."""
        return 0.0 if self.oldest is None else max(0.0, time.time() - self.oldest)


class Learned(msgspec.Struct, frozen=True):
    """A taught version, the name of its dataset, and how many photos of the inbox it learned from."""

    version: str
    dataset: str
    photos: int
    served: bool


class Emptied(msgspec.Struct, frozen=True):
    """What was deleted: photos that waited, photos that had joined datasets; and names in the data store to delete."""

    waiting: int = 0
    joined: int = 0
    datasets: list[str] = []
    corrections: list[str] = []


class Inbox:
    """Thread-safe; every change is whole or not made."""

    def __init__(self, database: Database, files: Files, bounds: InboxBounds) -> None:
        """Rows in `database`, photos in `files`."""
        self._database = database
        self._files = files
        self._bounds = bounds

    def keep(self, photo: bytes, answer: Doubtful) -> bool:
        """Keep a photo; returns whether it is new. `tidy` has to follow. Raises NoRoom if the disk is full."""
        sha256 = hashlib.sha256(photo).hexdigest()
        if self._is_known(sha256):
            return False
        with self._database.alone():
            self._files.write_photo(INBOX, sha256, photo)
            with self._database.changing() as connection:
                connection.execute(
                    "INSERT OR IGNORE INTO inbox "
                    "(sha256, kind, label, confidence, product, version, received, size_bytes) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    [sha256, *msgspec.structs.astuple(answer), time.time(), len(photo)],
                )
        return True

    def tidy(self, now: float | None = None) -> dict[Dropped, int]:
        """Drop what is too old, and the oldest beyond the bounds; returns how many. `now` is seconds since 1970.

        Bounds of 0 photos, without which nothing new comes, leave what is there to its age.
        """
        before = (time.time() if now is None else now) - self._bounds.days * DAY_S
        with self._database.changing() as connection:
            connection.execute(
                "DELETE FROM inbox WHERE state = 'rejected' AND correction IS NULL AND settled < ?", [before]
            )
            expired = _delete(connection, "state = 'waiting' AND received < ?", [before])
            oldest = _delete(connection, _BEYOND, [self._bounds.size_bytes, self._bounds.photos]) if self.is_on else []
        self._files.remove(INBOX, [*expired, *oldest])
        return {"expired": len(expired), "oldest": len(oldest)}

    @property
    def is_on(self) -> bool:
        """Whether new photos are kept."""
        return self._bounds.photos > 0

    def waiting(self) -> Waiting:
        """What waits."""
        with self._database.reading() as connection:
            photos, size_bytes, oldest = connection.execute(
                "SELECT count(*), total(size_bytes), min(received) FROM inbox WHERE state = 'waiting'"
            ).fetchone()
        return Waiting(photos, int(size_bytes), oldest)

    def joined(self) -> int:
        """How many photos of datasets came from here."""
        with self._database.reading() as connection:
            return int(connection.execute("SELECT count(*) FROM photos WHERE source = 'inbox'").fetchone()[0])

    def page(self, kind: Doubt | None, before: int | None, limit: int) -> list[Kept]:
        """Up to `limit` photos that wait, of one kind or both, the newest first; those that came before a number."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT number, sha256, kind, label, confidence, product, version, received FROM inbox "
                "WHERE state = 'waiting' AND (? IS NULL OR kind = ?) AND (? IS NULL OR number < ?) "
                "ORDER BY number DESC LIMIT ?",
                [kind, kind, before, before, limit],
            )
            return [_kept(row) for row in rows]

    def find(self, photos: Sequence[str]) -> dict[str, Kept]:
        """Those of `photos` (SHA-256) that wait."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT number, sha256, kind, label, confidence, product, version, received FROM inbox "
                "WHERE state = 'waiting' AND sha256 IN (SELECT value FROM json_each(?))",
                [json.dumps(list(photos))],
            )
            return {row["sha256"]: _kept(row) for row in rows}

    def file(self, sha256: str) -> Path:
        """Where the photo lies."""
        return self._files.photo(INBOX, sha256)

    def read(self, sha256: str) -> bytes:
        """A photo that waits; raises NotThere."""
        try:
            return self.file(sha256).read_bytes()
        except FileNotFoundError as error:
            raise NotThere(f"the photo {sha256[:12]} is not in the inbox any more; load it again") from error

    def settle(self, photos: Sequence[str], state: Settled, correction: str | None = None) -> int:
        """Note what became of photos, and delete their files; returns how many waited.

        `correction` is the name of what was written of them to the data store.
        """
        with self._database.changing() as connection:
            rows = connection.execute(
                "UPDATE inbox SET state = ?, settled = ?, correction = ? "
                "WHERE state = 'waiting' AND sha256 IN (SELECT value FROM json_each(?)) RETURNING sha256",
                [state, time.time(), correction, json.dumps(list(photos))],
            ).fetchall()
        self._files.remove(INBOX, [row["sha256"] for row in rows])
        return len(rows)

    def delete_all(self) -> Emptied:
        """Delete all photos that wait, and those that joined datasets from here, for good.

        Files that a kill left go, too. The names of what was written to the data store are told until
        `forget_corrections`.
        """
        with self._database.alone():  # no photo comes between the rows and the files
            emptied, joined = self._delete_rows()
            self._files.remove_dataset(INBOX)
        for row in joined:
            self._files.remove(row["dataset"], [row["sha256"]])
        return emptied

    def _delete_rows(self) -> tuple[Emptied, list[sqlite3.Row]]:
        """What was deleted, and the rows (`dataset`, `sha256`) of the photos that had joined datasets."""
        with self._database.changing() as connection:
            waiting = connection.execute("SELECT count(*) FROM inbox WHERE state = 'waiting'").fetchone()[0]
            connection.execute("DELETE FROM inbox WHERE correction IS NULL")
            connection.execute(
                "UPDATE inbox SET state = 'rejected', settled = ? WHERE state = 'waiting'", [time.time()]
            )
            names = [row["correction"] for row in connection.execute("SELECT correction FROM inbox")]
            joined = connection.execute("SELECT dataset, sha256 FROM photos WHERE source = 'inbox'").fetchall()
            drop(connection, "source = 'inbox'", [])
            datasets = sorted({row["dataset"] for row in joined})
            connection.execute(
                "UPDATE datasets SET revision = revision + 1, labelled = revision + 1, report_of = NULL, updated = ? "
                "WHERE id IN (SELECT value FROM json_each(?))",
                [time.time(), json.dumps(datasets)],
            )
        return Emptied(waiting, len(joined), datasets, sorted(set(names))), joined

    def withdrawn(self) -> list[str]:
        """The names of what was written to the data store of photos that came back, because it was undone."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT correction FROM inbox WHERE state = 'waiting' AND correction IS NOT NULL")
            return [row["correction"] for row in rows]

    def note_withdrawal(self, name: str) -> None:
        """What was written of a photo that came back is not in the data store any more."""
        with self._database.changing() as connection:
            connection.execute("UPDATE inbox SET correction = NULL WHERE state = 'waiting' AND correction = ?", [name])

    def forget_corrections(self, names: Sequence[str]) -> None:
        """They are not in the data store any more."""
        with self._database.changing() as connection:
            connection.execute(
                "DELETE FROM inbox WHERE correction IN (SELECT value FROM json_each(?))", [json.dumps(list(names))]
            )

    def known(self) -> list[tuple[str, str]]:
        """The photos that wait, as `Files.tidy` wants them."""
        with self._database.reading() as connection:
            return [
                (INBOX, row["sha256"]) for row in connection.execute("SELECT sha256 FROM inbox WHERE state = 'waiting'")
            ]

    def learned(self) -> list[Learned]:
        """The versions that learned from photos of the inbox, and were served or still can be; the oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT version, name, photos, served FROM lessons WHERE served "
                "OR EXISTS (SELECT 1 FROM datasets WHERE datasets.version = lessons.version) ORDER BY taught, version"
            )
            return [Learned(row["version"], row["name"], row["photos"], bool(row["served"])) for row in rows]

    def _is_known(self, sha256: str) -> bool:
        """Whether a photo is here, was looked at here, or is in a dataset."""
        with self._database.reading() as connection:
            return bool(
                connection.execute(
                    "SELECT EXISTS (SELECT 1 FROM inbox WHERE sha256 = ?) "
                    "OR EXISTS (SELECT 1 FROM photos WHERE sha256 = ? AND removed_by IS NULL)",
                    [sha256, sha256],
                ).fetchone()[0]
            )


# The oldest photos that wait, down to the first with which the newer ones are too many, or too large.
_BEYOND = (
    "number IN (SELECT number FROM (SELECT number, sum(size_bytes) OVER newer AS bytes, count(*) OVER newer AS photos "
    "FROM inbox WHERE state = 'waiting' WINDOW newer AS (ORDER BY number DESC)) WHERE bytes > ? OR photos > ?)"
)


def note_lesson(connection: sqlite3.Connection, dataset: str, version: str) -> None:
    """Note that `version` was taught from a dataset, if there are photos of the inbox among what it learned from."""
    photos = connection.execute(
        "SELECT count(*) FROM photos WHERE dataset = ? AND source = 'inbox' AND class IS NOT NULL "
        "AND removed_by IS NULL AND fault IS NULL",
        [dataset],
    ).fetchone()[0]
    if photos:
        connection.execute(
            "INSERT OR REPLACE INTO lessons (version, dataset, name, photos, taught) "
            "SELECT ?, id, name, ?, ? FROM datasets WHERE id = ?",
            [version, photos, time.time(), dataset],
        )
    connection.execute("DELETE FROM lessons WHERE dataset = ? AND NOT served AND version != ?", [dataset, version])


def note_served(connection: sqlite3.Connection, version: str) -> None:
    """Note that a version was served: its lesson is told from now on, even if its dataset is deleted."""
    connection.execute("UPDATE lessons SET served = 1 WHERE version = ?", [version])


def _delete(connection: sqlite3.Connection, where: str, values: Sequence[object]) -> list[str]:
    rows = connection.execute(f"DELETE FROM inbox WHERE {where} RETURNING sha256", values)  # noqa: S608 - our own words
    return [row["sha256"] for row in rows.fetchall()]


def _kept(row: sqlite3.Row) -> Kept:
    answer = Doubtful(row["kind"], row["label"], row["confidence"], row["product"], row["version"])
    return Kept(row["number"], row["sha256"], answer, row["received"])
