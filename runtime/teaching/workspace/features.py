"""Features of photos in the workspace, by content and backbone; and the examples that a dataset teaches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from runtime.teaching.examples import Examples, Sums
from runtime.teaching.workspace.database import Database

READ = 256  # photos at a time: a megabyte or two
_SUM = np.dtype("<u2")

# Photos that can have features.
_SOUND = "photos.removed_by IS NULL AND photos.fault IS NULL"
_HAVE = "features.sha256 = photos.sha256 AND features.backbone = ?"


class Unseen(NamedTuple):
    """A photo whose features have not been computed."""

    dataset: str
    sha256: str


class Features:
    """Thread-safe. A backbone is named by its version: other ones have other features."""

    def __init__(self, database: Database) -> None:
        """Keep them in `database`."""
        self._database = database

    def unseen(self, backbone: str, count: int) -> list[Unseen]:
        """Photos of any dataset without features; the oldest `count`."""
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT dataset, sha256 FROM photos WHERE {_SOUND} "  # noqa: S608 - our own words
                f"AND NOT EXISTS (SELECT 1 FROM features WHERE {_HAVE}) ORDER BY number LIMIT ?",
                [backbone, count],
            )
            return [Unseen(*row) for row in rows]

    def unseen_of(self, dataset: str, backbone: str) -> list[Unseen]:
        """The labelled photos of a dataset without features, the oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT dataset, sha256 FROM photos WHERE {_SOUND} AND dataset = ? AND class IS NOT NULL "  # noqa: S608
                f"AND NOT EXISTS (SELECT 1 FROM features WHERE {_HAVE}) ORDER BY number",
                [dataset, backbone],
            )
            return [Unseen(*row) for row in rows]

    def keep(self, sha256: str, backbone: str, sums: Sums, brightness: float) -> None:
        """Keep the features [V, D] and the brightness of a photo, unless it was deleted meanwhile."""
        with self._database.changing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO features (sha256, backbone, views, brightness, sums) "
                "SELECT ?, ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM photos WHERE sha256 = ?)",
                [sha256, backbone, len(sums), brightness, sums.astype(_SUM).tobytes(), sha256],
            )

    def keep_only(self, backbone: str) -> None:
        """Delete the features of all other backbones."""
        with self._database.changing() as connection:
            connection.execute("DELETE FROM features WHERE backbone != ?", [backbone])

    def refuse(self, photo: Unseen, fault: str) -> None:
        """Note why a photo has no features, and never will."""
        with self._database.changing() as connection:
            connection.execute(
                "UPDATE photos SET fault = ? WHERE dataset = ? AND sha256 = ?", [fault, photo.dataset, photo.sha256]
            )

    def examples(self, dataset: str, backbone: str) -> Examples:
        """The labelled photos of a dataset that have features; every class is there, if it has photos or not.

        They are in the order of their SHA-256: what is learned does not depend on the order in which they came.
        """
        with self._database.reading() as connection:
            classes = connection.execute(
                "SELECT number, label FROM classes WHERE dataset = ? ORDER BY number", [dataset]
            ).fetchall()
            rows = connection.execute(
                "SELECT photos.sha256, class, brightness, views, length(sums) FROM photos "  # noqa: S608
                f"JOIN features ON {_HAVE} WHERE dataset = ? AND class IS NOT NULL AND {_SOUND} ORDER BY photos.sha256",
                [backbone, dataset],
            ).fetchall()
        place = {row["number"]: index for index, row in enumerate(classes)}
        shape = _shape(rows[0]) if rows else (0, 0)
        sums = np.empty((len(rows), *shape), np.uint16)
        found = np.zeros(len(rows), bool)
        index_of = {row["sha256"]: index for index, row in enumerate(rows)}
        for sha256, blob in self._blobs(dataset, backbone):
            index = index_of.get(sha256)
            if index is not None:
                sums[index] = np.frombuffer(blob, _SUM).reshape(shape)
                found[index] = True
        kept = [row for row, there in zip(rows, found, strict=True) if there]
        return Examples(
            labels=[row["label"] for row in classes],
            photos=[row["sha256"] for row in kept],
            truth=np.array([place[row["class"]] for row in kept], np.int64),
            features=sums if found.all() else sums[found],
            brightness=np.array([row["brightness"] for row in kept], np.float32),
        )

    def _blobs(self, dataset: str, backbone: str) -> Iterator[tuple[str, bytes]]:
        """The features of all photos of a dataset, a batch at a time: other threads read and write in between."""
        last = 0
        while True:
            with self._database.reading() as connection:
                rows = connection.execute(
                    f"SELECT number, photos.sha256, sums FROM photos JOIN features ON {_HAVE} "  # noqa: S608
                    "WHERE dataset = ? AND number > ? ORDER BY number LIMIT ?",
                    [backbone, dataset, last, READ],
                ).fetchall()
            if not rows:
                return
            for row in rows:
                yield row["sha256"], row["sums"]
            last = rows[-1]["number"]


def _shape(row: tuple[int, ...]) -> tuple[int, int]:
    *_, views, size_bytes = row
    return views, size_bytes // views // _SUM.itemsize
