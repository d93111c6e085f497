"""Dataset placement on disk: photos first, manifest last, only files of earlier runs removed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import msgspec

from runtime.host.atomic import whole_file
from runtime.names import NOT_JSON
from training.data.dataset import MANIFEST, DatasetError, DatasetManifest

# The paths that an unfinished run has placed or may have placed: it is there while there is no manifest.
JOURNAL = ".preparing.json"


class _PlacedPhoto(msgspec.Struct, frozen=True):
    path: str


class _Placed(msgspec.Struct, frozen=True):
    """What a manifest of any schema version says about files."""

    schema_version: int
    labels: list[str]
    photos: list[_PlacedPhoto]


def placed_before(processed: Path) -> set[str]:
    """The `<class>/<name>` of the photos that earlier runs placed in `processed`, finished or not.

    Raises DatasetError where the folder holds something and no run has left its record there.
    """
    try:
        if not processed.exists() or not any(processed.iterdir()):
            return set()
        journal, manifest = processed / JOURNAL, processed / MANIFEST
        placed: set[str] = set()
        if journal.exists():
            placed.update(msgspec.json.decode(journal.read_bytes(), type=list[str]))
        if manifest.exists():
            record = msgspec.json.decode(manifest.read_bytes(), type=_Placed)
            placed.update(photo.path for photo in record.photos)
        elif not journal.exists():
            raise DatasetError(f"{processed}: holds files that `prepare` did not place; choose a new or empty folder")
    except OSError as error:
        raise DatasetError(f"{processed}: {error.strerror}; choose another folder") from error
    except NOT_JSON as error:
        raise DatasetError(
            f"{processed}: holds no record that `prepare` wrote ({error}); delete the folder or choose another"
        ) from error
    return {path for path in placed if _is_below(path)}


def write_dataset(manifest: DatasetManifest, raw: Path, processed: Path, earlier: set[str]) -> None:
    """Place the manifest's photos from `raw`, remove the other `earlier` ones, and write the manifest.

    Photos first, manifest last: whoever finds a manifest finds what it names. Raises DatasetError.
    """
    wanted = [photo.path for photo in manifest.photos]
    try:
        processed.mkdir(parents=True, exist_ok=True)
        _save(processed / JOURNAL, sorted(earlier.union(wanted)))
        (processed / MANIFEST).unlink(missing_ok=True)
        _remove(processed, earlier.difference(wanted))
        for path in wanted:
            place(raw / path, processed / path)
        _save(processed / MANIFEST, manifest)
        (processed / JOURNAL).unlink()
    except OSError as error:
        raise DatasetError(
            f"{error.filename or processed}: {error.strerror}; make room or choose another folder, then prepare again"
        ) from error


def place(source: Path, target: Path) -> None:
    """Put the file `source` at `target`, as a hard link where the file system has them; raises OSError."""
    target.parent.mkdir(exist_ok=True)
    target.unlink(missing_ok=True)
    original = source.resolve(strict=True)  # a link to a symbolic link would lead elsewhere from here
    try:
        os.link(original, target)
    except OSError:  # another file system
        shutil.copyfile(original, target)


def _is_below(path: str) -> bool:
    parts = path.split("/")
    return len(parts) == 2 and not {"", ".", ".."}.intersection(parts)


def _save(file: Path, content: object) -> None:
    with whole_file(file) as part:
        part.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")


def _remove(processed: Path, stale: Iterable[str]) -> None:
    folders = set()
    for path in stale:
        (processed / path).unlink(missing_ok=True)
        folders.add((processed / path).parent)
    for folder in folders:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
