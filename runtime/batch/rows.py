"""Result rows of a batch, one per photo, and their CSV and Parquet writers."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from runtime.errors import Refusal
from runtime.names import UNKNOWN


class Row(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one photo: an answer as `POST /predict` gives it, or the reason why there is none."""

    photo: str
    label: str | None = None
    confidence: float | None = None
    uncertain: bool | None = None
    unknown: bool | None = None
    unknown_probability: float | msgspec.UnsetType = msgspec.UNSET
    damaged: bool | None = None
    probabilities: dict[str, float] = {}
    error: str | None = None

    def probability(self, name: str) -> float | None:
        """That of a label or of UNKNOWN; None if there is no answer."""
        if name == UNKNOWN:
            return None if self.unknown_probability is msgspec.UNSET else self.unknown_probability
        return self.probabilities.get(name)


Parts = Iterable[Sequence[Row]]
Write = Callable[[Path, Parts, Sequence[str], str], None]


class TableError(Refusal):
    """A file of results that cannot be written; the message says how it can."""


def writer_for(name: str) -> Write:
    """How to write a file of this name: `.csv` or `.parquet`. Raises TableError."""
    match Path(name).suffix.lower():
        case ".csv":
            return _write_csv
        case ".parquet":
            try:
                import pyarrow  # noqa: F401, PLC0415 - 100 MB that an edge host does not carry
            except ImportError as error:
                raise TableError(f"{name}: Parquet needs pyarrow; pip install pyarrow, or write a .csv") from error
            return _write_parquet
    raise TableError(f"{name}: write a .csv or a .parquet")


def columns(classes: Sequence[str]) -> list[str]:
    """The columns of a table of results; `p_<class>` is the probability of each label, and of UNKNOWN if any, 0..1."""
    return [
        "photo",
        "label",
        "confidence",
        "uncertain",
        "unknown",
        "damaged",
        *(f"p_{name}" for name in classes),
        "error",
        "model_version",
    ]


def _cells(row: Row, classes: Sequence[str], version: str) -> list[Any]:
    answer = row.label, row.confidence, row.uncertain, row.unknown, row.damaged
    return [row.photo, *answer, *map(row.probability, classes), row.error, version]


def _write_csv(file: Path, parts: Parts, classes: Sequence[str], version: str) -> None:
    with file.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(columns(classes))
        for part in parts:
            table.writerows(_cells(row, classes, version) for row in part)


def _write_parquet(file: Path, parts: Parts, classes: Sequence[str], version: str) -> None:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    kinds = {"confidence": pa.float64(), "uncertain": pa.bool_(), "unknown": pa.bool_(), "damaged": pa.bool_()}
    kinds |= {f"p_{name}": pa.float64() for name in classes}
    names = columns(classes)
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in names])
    with pq.ParquetWriter(file, schema) as table:
        for part in parts:
            by_column = zip(*(_cells(row, classes, version) for row in part), strict=True)
            table.write_table(pa.table(dict(zip(names, map(list, by_column), strict=True)), schema=schema))
