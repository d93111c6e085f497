"""Merge the parts of a batch into one table, CSV or Parquet."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from runtime.batch.classify import read_rows
from runtime.batch.plan import BatchError, read_plan
from runtime.batch.rows import Row, TableError, writer_for
from runtime.bundle.default import default_bundle
from runtime.names import UNKNOWN
from runtime.store import Missing, open_store

ERROR = ""  # in the place of a label, which is never empty


class BatchSummary(NamedTuple):
    """The summary of a batch: number of photos, of errors, and of photos per label or UNKNOWN; URI of the table."""

    photos: int
    errors: int
    labels: dict[str, int]
    table: str


def merge(work: str, out: str) -> BatchSummary:
    """Write the rows of all parts, in the order of the photos' keys, to the URI `out`: a .csv or a .parquet.

    The same rows give the same bytes. Raises BatchError if a part is missing, TableError, StoreError.
    """
    made, store = read_plan(work), open_store(work)
    target, name = split(out)
    write = writer_for(name)
    counted: Counter[str] = Counter()

    def parts() -> Iterator[list[Row]]:
        for number in range(made.parts):
            rows = read_rows(store, number)
            counted.update(UNKNOWN if row.unknown else row.label or ERROR for row in rows)
            yield rows

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        try:
            write(file, parts(), made.classes, made.version or default_bundle().name)
        except Missing as error:
            raise BatchError(f"{error}; classify that part first") from error
        open_store(target).upload(name, file)
    labels = {label: counted[label] for label in made.classes}
    return BatchSummary(counted.total(), counted[ERROR], labels, out)


def split(uri: str) -> tuple[str, str]:
    """The URI of the store, and the key in it, of one file's URI. Raises TableError."""
    parent, slash, name = uri.rpartition("/")
    if not name or (slash and parent in {"s3:/", "s3:", "file:/", "file:"}):
        raise TableError(f"{uri}: names no file; write s3://bucket/results.csv or a path")
    return (parent or "/") if slash else ".", name
