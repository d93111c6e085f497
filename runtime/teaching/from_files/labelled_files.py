"""Labelled photos in files: a folder of class folders, or a table of paths and labels."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from runtime.errors import Refusal
from runtime.names import MAX_NAME, UNKNOWN, Label, alike, composed, is_reserved
from runtime.teaching.from_files.class_folders import class_folders_in, files_below

COLUMNS = ("path", "label")


class NoPhotos(Refusal):
    """A folder or a table that names no labelled photos."""


class LabelledFile(NamedTuple):
    """A file that may be a photo, and its label."""

    path: Path
    label: str


def in_folder(folder: Path) -> list[LabelledFile]:
    """The files below the class folders in `folder`, however deep; sorted by class and path.

    Hidden files and folders, and those of file managers and cameras, are passed over; so is the folder of photos of
    none of the classes. Raises NoPhotos.
    """
    if not folder.is_dir():
        raise NoPhotos(f"{folder}: is not a folder; give one that holds a folder of photos for each class")
    found = [
        LabelledFile(file, composed(child.name)) for child in class_folders_in(folder) for file in files_below(child)
    ]
    if not found:
        raise NoPhotos(f"{folder}: holds no photos in class folders; make a folder for each class, and put them there")
    return _checked(found, str(folder))


def in_table(table: Path, folder: Path | None = None) -> list[LabelledFile]:
    """The files that a CSV table lists with their labels: in columns `path` and `label`, or in its only two.

    Paths are below `folder`, or beside the table. Raises NoPhotos, with the line that is wrong.
    """
    base = folder or table.parent
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            rows = [(reader_line, row) for reader_line, row in _rows(csv.reader(stream))]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise NoPhotos(f"{table}: cannot be read ({error}); save it as CSV in UTF-8") from error
    if not rows:
        raise NoPhotos(f"{table}: is empty; write a line `path,label` for each photo")
    path_at, label_at, rows = _columns(rows, table)
    found = [_labelled(row, path_at, label_at, f"{table}, line {line}", base) for line, row in rows]
    if not found:
        raise NoPhotos(f"{table}: lists no photos; write a line `path,label` for each")
    return _checked(found, str(table))


def _rows(reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    for row in reader:
        if any(cell.strip() for cell in row):
            yield getattr(reader, "line_num", 0), [cell.strip() for cell in row]


def _columns(rows: list[tuple[int, list[str]]], table: Path) -> tuple[int, int, list[tuple[int, list[str]]]]:
    """Where paths and labels are, and the rows without the header."""
    first = [cell.lower() for cell in rows[0][1]]
    if set(COLUMNS) <= set(first):
        return first.index(COLUMNS[0]), first.index(COLUMNS[1]), rows[1:]
    if len(first) != len(COLUMNS):
        raise NoPhotos(f"{table}: has neither two columns nor a header with `path` and `label`; add the header")
    return 0, 1, rows


def _labelled(row: Sequence[str], path_at: int, label_at: int, where: str, base: Path) -> LabelledFile:
    if len(row) <= max(path_at, label_at) or not row[path_at] or not row[label_at]:
        raise NoPhotos(f"{where}: lacks the path or the label; complete or remove it")
    return LabelledFile(base / row[path_at], composed(row[label_at]))


def _checked(files: list[LabelledFile], where: str) -> list[LabelledFile]:
    labels = dict.fromkeys(file.label for file in files)
    for label in labels:
        if is_reserved(label):
            raise NoPhotos(f"{where}: {UNKNOWN} is no class; photos of none of the classes need not be taught")
        try:
            msgspec.convert(label, Label)
        except msgspec.ValidationError as error:
            raise NoPhotos(
                f"{where}: {label[:MAX_NAME]!r} is no label: it has 1 to {MAX_NAME} characters, no slash, and no dot "
                "at its start"
            ) from error
    if pair := alike(labels):
        raise NoPhotos(f"{where}: the labels {pair} differ in nothing but case or spelling; make them one")
    return files
