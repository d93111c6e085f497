"""Datasets and their classes."""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Sequence

import msgspec

from runtime.names import MAX_NAME, Label, Line, alike, composed, is_reserved, label_among
from runtime.teaching.report import Report
from runtime.teaching.workspace.database import Database
from runtime.teaching.workspace.errors import Conflict, Invalid, NotThere
from runtime.teaching.workspace.history import History, forget_features, last_kind, no_dataset
from runtime.teaching.workspace.records import ClassCount, Dataset, DatasetSummary
from runtime.teaching.workspace.runs import Runs

MOST_DATASETS, MOST_CLASSES = 100, 1000


class Datasets:
    """Thread-safe; every change is whole or not made."""

    def __init__(self, database: Database, history: History, runs: Runs) -> None:
        """Those of `database`."""
        self._database = database
        self._history = history
        self._runs = runs

    def create(self, name: str) -> str:
        """A new dataset without photos; returns its id. Raises Invalid and Conflict."""
        identity, now = secrets.token_hex(8), time.time()
        with self._database.changing() as connection:
            if _one(connection, "SELECT count(*) FROM datasets", []) >= MOST_DATASETS:
                raise Conflict(f"there are {MOST_DATASETS} datasets, the most that are kept; delete one")
            connection.execute(
                "INSERT INTO datasets (id, name, created, updated) VALUES (?, ?, ?, ?)",
                [identity, _checked_name(name), now, now],
            )
        return identity

    def all(self) -> list[DatasetSummary]:
        """All datasets, the last changed first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT id, name, (SELECT count(*) FROM photos WHERE dataset = id AND removed_by IS NULL), "
                "(SELECT count(*) FROM classes WHERE dataset = id), updated FROM datasets ORDER BY updated DESC, id"
            )
            return [DatasetSummary(*row) for row in rows]

    def get(self, dataset: str, backbone: str) -> Dataset:
        """A dataset as it is, with features by `backbone`; raises NotThere."""
        run = self._runs.of(dataset)
        with self._database.reading() as connection:
            row = connection.execute("SELECT * FROM datasets WHERE id = ?", [dataset]).fetchone()
            if row is None:
                raise no_dataset(dataset)
            classes = _classes(connection, dataset)
            unlabelled, removed, waiting = connection.execute(
                "SELECT total(class IS NULL AND removed_by IS NULL), total(removed_by IS NOT NULL), "
                "total(removed_by IS NULL AND fault IS NULL AND NOT EXISTS (SELECT 1 FROM features "
                "WHERE features.sha256 = photos.sha256 AND backbone = ?)) FROM photos WHERE dataset = ?",
                [backbone, dataset],
            ).fetchone()
            undo = last_kind(connection, dataset)
        report = _report(row["report"])
        return Dataset(
            id=row["id"],
            name=row["name"],
            revision=row["revision"],
            classes=classes,
            unlabelled=int(unlabelled),
            removed=int(removed),
            waiting=int(waiting),
            undo=undo,
            run=run,
            report=report,
            outdated=report is not None and row["report_of"] != row["labelled"],
            version=row["version"],
            served=row["served"],
        )

    def name_of(self, dataset: str) -> str:
        """The name of a dataset; raises NotThere."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT name FROM datasets WHERE id = ?", [dataset]).fetchone()
        if row is None:
            raise no_dataset(dataset)
        return str(row["name"])

    def version_of(self, dataset: str) -> str:
        """The version that a dataset has taught; raises NotThere, and Conflict if there is none."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT version FROM datasets WHERE id = ?", [dataset]).fetchone()
        if row is None:
            raise no_dataset(dataset)
        if row["version"] is None:
            raise Conflict("nothing has been taught yet; teach first")
        return str(row["version"])

    def classes(self, dataset: str) -> list[ClassCount]:
        """The classes of a dataset with their photos, as `get` has them; raises NotThere."""
        with self._database.reading() as connection:
            if connection.execute("SELECT 1 FROM datasets WHERE id = ?", [dataset]).fetchone() is None:
                raise no_dataset(dataset)
            return _classes(connection, dataset)

    def rename(self, dataset: str, name: str) -> None:
        """Give a dataset another name; raises NotThere and Invalid."""
        with self._database.changing() as connection:
            changed = connection.execute(
                "UPDATE datasets SET name = ?, revision = revision + 1, updated = ? WHERE id = ?",
                [_checked_name(name), time.time(), dataset],
            )
            if not changed.rowcount:
                raise no_dataset(dataset)

    def delete(self, dataset: str) -> None:
        """Delete a dataset with all its photos from the database; raises NotThere."""
        with self._database.changing() as connection:
            photos = connection.execute("SELECT sha256 FROM photos WHERE dataset = ?", [dataset]).fetchall()
            # Before the classes that they refer to, in whichever order these are deleted.
            connection.execute("DELETE FROM photos WHERE dataset = ?", [dataset])
            if not connection.execute("DELETE FROM datasets WHERE id = ?", [dataset]).rowcount:
                raise no_dataset(dataset)
            forget_features(connection, [row["sha256"] for row in photos])
        self._runs.forget(dataset)

    def add_class(self, dataset: str, label: str) -> None:
        """A new class without photos; raises NotThere, Invalid, and Conflict if there is one alike."""
        label = _checked_label(label)
        with self._history.changing(dataset, "class") as change:
            labels = labels_of(change.connection, dataset)
            if len(labels) >= MOST_CLASSES:
                raise Conflict(f"there are {MOST_CLASSES} classes, the most that a model may have")
            _check_unlike(labels, label)
            change.note_classes()
            change.connection.execute("INSERT INTO classes (dataset, label) VALUES (?, ?)", [dataset, label])

    def need_class(self, dataset: str, label: str) -> None:
        """As `add_class`, unless the very class is there."""
        with self._database.reading() as connection:
            there = label_among(labels_of(connection, dataset), label)
        if there is None:
            self.add_class(dataset, label)

    def rename_class(self, dataset: str, label: str, to: str) -> None:
        """Give a class another label; raises as `add_class` does."""
        to = _checked_label(to)
        with self._history.changing(dataset, "rename") as change:
            number, known = class_of(change.connection, dataset, label)
            if known == to:
                return
            _check_unlike([each for each in labels_of(change.connection, dataset) if each != known], to)
            change.note_classes()
            change.teaches = True
            change.connection.execute("UPDATE classes SET label = ? WHERE number = ?", [to, number])

    def delete_class(self, dataset: str, label: str) -> None:
        """Delete a class, whose photos are without a label then; raises NotThere."""
        with self._history.changing(dataset, "delete_class") as change:
            number, _ = class_of(change.connection, dataset, label)
            change.note_classes()
            change.teaches = True
            rows = change.connection.execute("SELECT number, class, removed_by FROM photos WHERE class = ?", [number])
            change.note_photos(rows.fetchall())
            change.connection.execute("UPDATE photos SET class = NULL WHERE class = ?", [number])
            change.connection.execute("DELETE FROM classes WHERE number = ?", [number])


def labels_of(connection: sqlite3.Connection, dataset: str) -> list[str]:
    """The labels of a dataset, the oldest first."""
    rows = connection.execute("SELECT label FROM classes WHERE dataset = ? ORDER BY number", [dataset])
    return [row["label"] for row in rows]


def class_of(connection: sqlite3.Connection, dataset: str, label: str) -> tuple[int, str]:
    """The number of a class, and its label as it is spelt there; raises NotThere."""
    labels = labels_of(connection, dataset)
    known = label_among(labels, label)
    if known is None:
        there = f"; there are {', '.join(labels[:20])}" if labels else ""
        raise NotThere(f"there is no class {label[:MAX_NAME]!r}{there}; make it first")
    row = connection.execute("SELECT number FROM classes WHERE dataset = ? AND label = ?", [dataset, known]).fetchone()
    return row["number"], known


def photos_among(connection: sqlite3.Connection, dataset: str, photos: Sequence[str]) -> list[sqlite3.Row]:
    """The rows of `photos` (SHA-256); raises NotThere if one of them is missing."""
    wanted = set(photos)
    rows = connection.execute(
        "SELECT number, sha256, class, removed_by FROM photos WHERE dataset = ? "
        "AND sha256 IN (SELECT value FROM json_each(?)) ORDER BY number",
        [dataset, json.dumps(sorted(wanted))],
    ).fetchall()
    if len(rows) < len(wanted):
        raise NotThere(f"{len(wanted) - len(rows)} of the {len(wanted)} photos are not in this dataset; load it again")
    return rows


def _classes(connection: sqlite3.Connection, dataset: str) -> list[ClassCount]:
    rows = connection.execute(
        "SELECT label, count(photos.number) FROM classes LEFT JOIN photos ON class = classes.number "
        "AND removed_by IS NULL WHERE classes.dataset = ? GROUP BY classes.number ORDER BY classes.number",
        [dataset],
    )
    return [ClassCount(*row) for row in rows]


def _checked_name(name: str) -> str:
    name = composed(name.strip())
    try:
        if len(name) <= MAX_NAME:
            return msgspec.convert(name, Line)
    except msgspec.ValidationError:
        pass
    raise Invalid(f"{name[:MAX_NAME]!r} is no name: it has 1 to {MAX_NAME} characters, and no control characters")


def _checked_label(label: str) -> str:
    label = composed(label.strip())
    if is_reserved(label):
        raise Invalid(f"{label!r} is reserved for photos of none of the classes, which need not be taught")
    try:
        return msgspec.convert(label, Label)
    except msgspec.ValidationError as error:
        raise Invalid(
            f"{label[:MAX_NAME]!r} is no label: it has 1 to {MAX_NAME} characters, no slash, and no dot at its start"
        ) from error


def _check_unlike(labels: Sequence[str], label: str) -> None:
    if label_among(labels, label) is not None:
        raise Conflict(f"there is a class {label!r} already")
    if pair := alike([*labels, label]):
        raise Conflict(f"the labels {pair} differ in nothing but case or spelling; choose another")


def _report(text: str | None) -> Report | None:
    """A report as it was written; None for that of a release which had other figures."""
    try:
        return msgspec.json.decode(text, type=Report) if text else None
    except msgspec.ValidationError:
        return None


def _one(connection: sqlite3.Connection, query: str, values: Sequence[object]) -> int:
    return int(connection.execute(query, values).fetchone()[0])
