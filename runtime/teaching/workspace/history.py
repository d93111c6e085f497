"""Changes of a dataset, each of which can be undone, the last one first.

A change notes what it touches before it does. Photos that it adds or removes carry its number: an undone addition
deletes them, and removed ones are deleted once their change is too old to be undone.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from runtime.teaching.workspace.database import Database
from runtime.teaching.workspace.errors import Conflict, NotThere
from runtime.teaching.workspace.files import Files
from runtime.teaching.workspace.records import Kind

KEPT = 50  # changes that can be undone


@dataclass
class Change:
    """A change that is being made, in a transaction of its own. `teaches` is whether it alters what is learned.

    `dropped` are the SHA-256 of photos that it deletes for good: their files go after the transaction.
    """

    connection: sqlite3.Connection
    dataset: str
    number: int
    before: dict[str, Any]
    teaches: bool = False
    touched: bool = False
    dropped: list[str] = field(default_factory=list)

    def note_classes(self) -> None:
        """Note the classes, before any of them is changed."""
        rows = self.connection.execute("SELECT number, label FROM classes WHERE dataset = ?", [self.dataset])
        self.before["classes"] = [list(row) for row in rows]
        self.touched = True

    def note_photos(self, rows: Iterable[sqlite3.Row]) -> None:
        """Note photos (rows with `number`, `class` and `removed_by`), before they are changed."""
        noted = [[row["number"], row["class"], row["removed_by"]] for row in rows]
        self.before.setdefault("photos", []).extend(noted)
        self.touched = self.touched or bool(noted)


class History:
    """Makes the changes of datasets, and takes them back. Thread-safe."""

    def __init__(self, database: Database, files: Files) -> None:
        """Of the datasets in `database`, whose photos are `files`."""
        self._database = database
        self._files = files

    @contextmanager
    def changing(self, dataset: str, kind: Kind, *, batch: str | None = None) -> Iterator[Change]:
        """Make one change of a dataset; raises NotThere if there is none.

        What is of one `batch` is one change, as long as no other comes in between.
        """
        with self._database.changing() as connection:
            change, joins = _begin(connection, dataset, kind, batch)
            yield change
            if change.touched:
                _finish(change)
            elif not joins:
                connection.execute("DELETE FROM changes WHERE number = ?", [change.number])
        self._files.remove(dataset, change.dropped)

    def undo(self, dataset: str) -> None:
        """Take the last change back; raises NotThere, and Conflict if there is none.

        Photos that it took from the inbox go back there.
        """
        with self._database.changing() as connection:
            taken = _taken_from_inbox(connection, dataset)
            _let_wait(connection, [sha256 for sha256 in taken if self._files.give_back(dataset, sha256)])
            dropped = _undo(connection, dataset)
        self._files.remove(dataset, dropped)


def _begin(connection: sqlite3.Connection, dataset: str, kind: Kind, batch: str | None) -> tuple[Change, bool]:
    """The change, and whether it joins the last one."""
    state, last = _state(connection, dataset), _last(connection, dataset)
    before = json.loads(last["before"]) if last is not None and batch is not None else {}
    if last is not None and batch is not None and before.get("batch") == batch:
        return Change(connection, dataset, last["number"], before), True
    number = connection.execute(
        "INSERT INTO changes (dataset, kind, made, before) VALUES (?, ?, ?, '{}')", [dataset, kind, time.time()]
    ).lastrowid
    return Change(connection, dataset, number or 0, {"labelled": state["labelled"], "batch": batch}), False


def _taken_from_inbox(connection: sqlite3.Connection, dataset: str) -> list[str]:
    """The SHA-256 of the photos that the last change took from the inbox."""
    last = _last(connection, dataset)
    rows = connection.execute(
        "SELECT photos.sha256 FROM photos JOIN inbox USING (sha256) "
        "WHERE dataset = ? AND added_by = ? AND source = 'inbox' AND state = 'accepted'",
        [dataset, last["number"] if last else None],
    )
    return [row["sha256"] for row in rows]


def _let_wait(connection: sqlite3.Connection, photos: Sequence[str]) -> None:
    connection.execute(
        "UPDATE inbox SET state = 'waiting', settled = NULL WHERE sha256 IN (SELECT value FROM json_each(?))",
        [json.dumps(photos)],
    )


def _undo(connection: sqlite3.Connection, dataset: str) -> list[str]:
    """The SHA-256 of photos that are deleted by it."""
    _state(connection, dataset)
    last = _last(connection, dataset)
    if last is None:
        raise Conflict("there is nothing to undo")
    before = json.loads(last["before"])
    if "classes" in before:
        _add_classes(connection, dataset, before["classes"])
    connection.executemany(
        "UPDATE photos SET class = ?, removed_by = ? WHERE number = ?",
        [(class_, removed_by, number) for number, class_, removed_by in before.get("photos", ())],
    )
    dropped = drop(connection, "dataset = ? AND added_by = ?", [dataset, last["number"]])
    if "classes" in before:
        _remove_classes(connection, dataset, before["classes"])
    connection.execute("DELETE FROM changes WHERE number = ?", [last["number"]])
    _count(connection, dataset, before["labelled"])
    return dropped


def drop(connection: sqlite3.Connection, where: str, values: Sequence[Any]) -> list[str]:
    """Delete photos and the features that no other dataset needs; returns their SHA-256."""
    gone = connection.execute(f"DELETE FROM photos WHERE {where} RETURNING sha256", values)  # noqa: S608 - our own words
    dropped = [row["sha256"] for row in gone]
    forget_features(connection, dropped)
    return dropped


def forget_features(connection: sqlite3.Connection, photos: Sequence[str]) -> None:
    """Delete the features of those of `photos` that are in no dataset any more."""
    connection.execute(
        "DELETE FROM features WHERE sha256 IN (SELECT value FROM json_each(?)) "
        "AND NOT EXISTS (SELECT 1 FROM photos WHERE photos.sha256 = features.sha256)",
        [json.dumps(photos)],
    )


def last_kind(connection: sqlite3.Connection, dataset: str) -> Kind | None:
    """The kind of the change that `undo` would take back."""
    last = _last(connection, dataset)
    return last["kind"] if last else None


def _state(connection: sqlite3.Connection, dataset: str) -> sqlite3.Row:
    row: sqlite3.Row | None = connection.execute(
        "SELECT revision, labelled FROM datasets WHERE id = ?", [dataset]
    ).fetchone()
    if row is None:
        raise no_dataset(dataset)
    return row


def no_dataset(dataset: str) -> NotThere:
    """There is no such dataset."""
    return NotThere(f"there is no dataset {dataset[:40]!r}; it may have been deleted, `GET /teach` lists them")


def _last(connection: sqlite3.Connection, dataset: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = connection.execute(
        "SELECT number, kind, made, before FROM changes WHERE dataset = ? ORDER BY number DESC LIMIT 1", [dataset]
    ).fetchone()
    return row


def _finish(change: Change) -> None:
    connection, dataset = change.connection, change.dataset
    connection.execute(
        "UPDATE changes SET before = ?, made = ? WHERE number = ?",
        [json.dumps(change.before), time.time(), change.number],
    )
    _count(connection, dataset, None, teaches=change.teaches)
    connection.execute(
        "DELETE FROM changes WHERE dataset = ? AND number NOT IN "
        "(SELECT number FROM changes WHERE dataset = ? ORDER BY number DESC LIMIT ?)",
        [dataset, dataset, KEPT],
    )
    change.dropped += drop(
        connection,
        "dataset = ? AND removed_by IS NOT NULL AND removed_by NOT IN (SELECT number FROM changes WHERE dataset = ?)",
        [dataset, dataset],
    )


def _count(connection: sqlite3.Connection, dataset: str, labelled: int | None, *, teaches: bool = False) -> None:
    """One more revision; what is learned from is as it was in the revision `labelled`, or new."""
    connection.execute(
        "UPDATE datasets SET revision = revision + 1, updated = ?, "
        "labelled = CASE WHEN ? THEN revision + 1 ELSE coalesce(?, labelled) END WHERE id = ?",
        [time.time(), teaches, labelled, dataset],
    )


def _add_classes(connection: sqlite3.Connection, dataset: str, before: Sequence[Sequence[Any]]) -> None:
    # One label may have gone from one class to another meanwhile, and labels are unique at every moment.
    connection.execute("UPDATE classes SET label = '/' || number WHERE dataset = ?", [dataset])
    connection.executemany(
        "INSERT INTO classes (number, dataset, label) VALUES (?, ?, ?) "
        "ON CONFLICT (number) DO UPDATE SET label = excluded.label",
        [(number, dataset, label) for number, label in before],
    )


def _remove_classes(connection: sqlite3.Connection, dataset: str, before: Sequence[Sequence[Any]]) -> None:
    kept = json.dumps([number for number, _ in before])
    fresh = "SELECT number FROM classes WHERE dataset = ? AND number NOT IN (SELECT value FROM json_each(?))"
    connection.execute(f"UPDATE photos SET class = NULL WHERE class IN ({fresh})", [dataset, kept])  # noqa: S608
    connection.execute(f"DELETE FROM classes WHERE number IN ({fresh})", [dataset, kept])  # noqa: S608
