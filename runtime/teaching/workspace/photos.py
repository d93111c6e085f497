"""Photos of a dataset: added, listed, labelled, removed."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Sequence
from typing import NamedTuple

from runtime.teaching.workspace.database import Database
from runtime.teaching.workspace.datasets import class_of, photos_among
from runtime.teaching.workspace.errors import NoRoom, NotThere, WorkspaceError
from runtime.teaching.workspace.files import Files
from runtime.teaching.workspace.history import Change, History, no_dataset
from runtime.teaching.workspace.records import Added, Bounds, Kind, Photo, PhotoPage, Source

MOST_LISTED = 1000
SHOWN_NAME = 200  # characters


class NewPhoto(NamedTuple):
    """An encoded photo that was found sound, its thumbnail (JPEG), and the name of its file."""

    name: str
    data: bytes
    thumbnail: bytes


class Photos:
    """Thread-safe; every change is whole or not made."""

    def __init__(self, database: Database, files: Files, history: History, bounds: Bounds) -> None:
        """Those of `database`, with their bytes in `files`."""
        self._database = database
        self._history = history
        self._files = files
        self._bounds = bounds

    def add(self, dataset: str, photo: NewPhoto, label: str | None, source: Source, batch: str | None = None) -> Added:
        """Add a photo, unless the very same is there; raises NotThere, and NoRoom if it may not or cannot be kept.

        One that was removed is put back. The photos of a `batch` are added by one change.
        """
        sha256 = hashlib.sha256(photo.data).hexdigest()
        there = self._find(dataset, sha256, _size_of(photo))
        try:
            if there is None or there["removed_by"] is not None or there["fault"] is not None:
                self._files.write(dataset, sha256, photo.data, photo.thumbnail)
            return self._note(dataset, sha256, photo, label, source, batch)
        except WorkspaceError:  # the class or the dataset was deleted meanwhile, or the disk is full
            self._remove_unknown(dataset, sha256)
            raise

    def _remove_unknown(self, dataset: str, photo: str) -> None:
        """Remove the file of a photo that is not in the database: another request may have added the same."""
        try:
            self.check(dataset, photo)
        except NotThere:
            self._files.remove(dataset, [photo])

    def _note(
        self, dataset: str, sha256: str, photo: NewPhoto, label: str | None, source: Source, batch: str | None
    ) -> Added:
        """Add a photo, whose file is there, to the database."""
        name = photo.name[:SHOWN_NAME]
        kind: Kind = "examples" if source == "example" else "add"
        with self._history.changing(dataset, kind, batch=batch) as change:
            class_ = None if label is None else class_of(change.connection, dataset, label)[0]
            added = change.connection.execute(
                "INSERT OR IGNORE INTO photos (dataset, sha256, name, class, source, added, size_bytes, added_by) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [dataset, sha256, name, class_, source, time.time(), _size_of(photo), change.number],
            ).rowcount
            if added:
                change.touched, change.teaches = True, class_ is not None
                return Added(name, sha256, "added")
            return self._again(change, sha256, name, class_)

    def page(
        self,
        dataset: str,
        backbone: str,
        *,
        label: str | None = None,
        unlabelled: bool = False,
        removed: bool = False,
        after: int = 0,
        limit: int = 200,
    ) -> PhotoPage:
        """Up to `limit` photos that follow the number `after`: of a class, without one, or removed ones."""
        with self._database.reading() as connection:
            _check_dataset(connection, dataset)
            class_ = None if label is None else class_of(connection, dataset, label)[0]
            rows = connection.execute(
                "SELECT photos.number, photos.sha256, name, label, added, source, fault, "
                "EXISTS (SELECT 1 FROM features WHERE features.sha256 = photos.sha256 AND backbone = ?) AS ready "
                "FROM photos LEFT JOIN classes ON class = classes.number WHERE photos.dataset = ? "
                "AND photos.number > ? AND (removed_by IS NOT NULL) = ? AND (? IS NULL OR class = ?) "
                "AND (NOT ? OR class IS NULL) ORDER BY photos.number LIMIT ?",
                [backbone, dataset, after, removed, class_, class_, unlabelled, limit + 1],
            ).fetchall()
        following = str(rows[limit - 1]["number"]) if len(rows) > limit else None
        return PhotoPage([_photo(row) for row in rows[:limit]], following)

    def label(self, dataset: str, photos: Sequence[str], label: str | None) -> None:
        """Give photos a label, or none; removed ones are put back. Raises NotThere."""
        with self._history.changing(dataset, "label") as change:
            class_ = None if label is None else class_of(change.connection, dataset, label)[0]
            rows = photos_among(change.connection, dataset, photos)
            changed = [row for row in rows if row["class"] != class_ or row["removed_by"] is not None]
            change.note_photos(changed)
            change.teaches = bool(changed)
            change.connection.executemany(
                "UPDATE photos SET class = ?, removed_by = NULL WHERE number = ?",
                [(class_, row["number"]) for row in changed],
            )

    def remove(self, dataset: str, photos: Sequence[str]) -> None:
        """Remove photos, which undo brings back; raises NotThere."""
        with self._history.changing(dataset, "remove") as change:
            rows = [row for row in photos_among(change.connection, dataset, photos) if row["removed_by"] is None]
            change.note_photos(rows)
            change.teaches = any(row["class"] is not None for row in rows)
            change.connection.executemany(
                "UPDATE photos SET removed_by = ? WHERE number = ?", [(change.number, row["number"]) for row in rows]
            )

    def undo(self, dataset: str) -> None:
        """Take the last change of a dataset back; raises NotThere, and Conflict if there is none."""
        self._history.undo(dataset)

    def known(self) -> list[tuple[str, str]]:
        """All photos of all datasets: dataset and SHA-256."""
        with self._database.reading() as connection:
            return [(row["dataset"], row["sha256"]) for row in connection.execute("SELECT dataset, sha256 FROM photos")]

    def contents(self, dataset: str) -> set[str]:
        """The SHA-256 of the photos of a dataset that are not removed."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT sha256 FROM photos WHERE dataset = ? AND removed_by IS NULL", [dataset]
            ).fetchall()
        return {row["sha256"] for row in rows}

    def check_target(self, dataset: str, label: str | None) -> None:
        """Raise NotThere unless there is the dataset, and in it the class."""
        with self._database.reading() as connection:
            _check_dataset(connection, dataset)
            if label is not None:
                class_of(connection, dataset, label)

    def check(self, dataset: str, photo: str) -> None:
        """Raise NotThere unless the photo is in the dataset."""
        with self._database.reading() as connection:
            _check_dataset(connection, dataset)
            if connection.execute("SELECT 1 FROM photos WHERE dataset = ? AND sha256 = ?", [dataset, photo]).fetchone():
                return
        raise NotThere(f"there is no photo {photo[:70]!r} in this dataset; load it again")

    def _find(self, dataset: str, sha256: str, size_bytes: int) -> sqlite3.Row | None:
        """The photo, if it is there; else raises NoRoom if there is no room for it by the bounds."""
        with self._database.reading() as connection:
            _check_dataset(connection, dataset)
            there: sqlite3.Row | None = connection.execute(
                "SELECT removed_by, fault FROM photos WHERE dataset = ? AND sha256 = ?", [dataset, sha256]
            ).fetchone()
            if there is not None and there["removed_by"] is None:
                return there
            photos, taken = connection.execute(
                "SELECT (SELECT count(*) FROM photos WHERE dataset = ? AND removed_by IS NULL), "
                "(SELECT total(size_bytes) FROM photos)",
                [dataset],
            ).fetchone()
        if photos >= self._bounds.photos:
            raise NoRoom(
                f"the dataset has {photos} photos, the most that it may (DANDELION_TEACH_PHOTOS); remove some, or "
                "begin another"
            )
        if there is None and taken + size_bytes > self._bounds.size_bytes:
            raise NoRoom(
                f"the photos of all datasets take {self._bounds.size_bytes >> 20} MiB, the most that they may "
                "(DANDELION_TEACH_MB); delete a dataset that is not needed"
            )
        return there

    def _again(self, change: Change, sha256: str, name: str, class_: int | None) -> Added:
        """The photo is there: put it back if it was removed, and give it the label if it has none."""
        connection = change.connection
        row = photos_among(connection, change.dataset, [sha256])[0]
        connection.execute("UPDATE photos SET fault = NULL WHERE number = ?", [row["number"]])
        removed = row["removed_by"] is not None
        if removed or (row["class"] is None and class_ is not None):
            change.note_photos([row])
            change.teaches = class_ is not None or row["class"] is not None
            connection.execute(
                "UPDATE photos SET class = coalesce(?, class), removed_by = NULL WHERE number = ?",
                [class_, row["number"]],
            )
        elif class_ is not None and row["class"] != class_:
            label = connection.execute("SELECT label FROM classes WHERE number = ?", [row["class"]]).fetchone()["label"]
            return Added(name, sha256, "there_already", f"the same photo is in the class {label!r}")
        return Added(name, sha256, "added" if removed else "there_already")


def _size_of(photo: NewPhoto) -> int:
    return len(photo.data) + len(photo.thumbnail)


def _check_dataset(connection: sqlite3.Connection, dataset: str) -> None:
    if connection.execute("SELECT 1 FROM datasets WHERE id = ?", [dataset]).fetchone() is None:
        raise no_dataset(dataset)


def _photo(row: sqlite3.Row) -> Photo:
    return Photo(
        id=row["sha256"],
        name=row["name"],
        label=row["label"],
        added=row["added"],
        source=row["source"],
        ready=bool(row["ready"]),
        fault=row["fault"],
    )


def cursor_of(text: str | None) -> int:
    """The number that `next` of a page told; raises NotThere for any other text."""
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 19):  # of 64 bits
        raise NotThere(f"{text[:40]!r} is no `next` of a page of photos")
    return int(text)
