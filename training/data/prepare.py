"""Dataset preparation: verify, deduplicate, split, describe in a manifest."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from runtime.cli.progress import progress
from runtime.image import ImageError, ImageSpec, decode_photo, inspect
from runtime.names import alike
from training.data.class_folders import files_below, is_photo_file, subfolders
from training.data.dataset import SCHEMA_VERSION, DatasetError, DatasetManifest, LeftOut, Photo
from training.data.duplicates import group_near_duplicates, picture_hash
from training.data.placement import placed_before, write_dataset
from training.data.split import assign_folds

SHORTEST_SIDE = 32  # px; anything smaller is an icon
_LOOK = ImageSpec(height=256, width=256)


@dataclass(frozen=True)
class _Seen:
    """One photo that decoded to its end."""

    path: str
    label: str
    sha256: str
    size_bytes: int
    width: int
    height: int
    hash: NDArray[np.uint8]


def prepare(raw: Path, processed: Path, *, validation_fraction: float = 0.2, seed: int = 42) -> DatasetManifest:
    """Make the dataset `processed` from the class folders in `raw`.

    Photos that do not decode, are damaged or tiny, or stand there twice are left out and listed. The manifest is
    written last; the same photos and seed give the same manifest. The validation part is one of
    round(1 / `validation_fraction`) folds, at most half. In `processed`, only what an earlier run placed there is
    replaced. Raises DatasetError where what is left cannot be split, and where `processed` holds anything else.
    """
    if not 0 < validation_fraction <= 0.5:
        raise DatasetError(f"a validation fraction of {validation_fraction:g}; choose more than 0 and at most 0.5")
    _require_apart(raw, processed)
    earlier = placed_before(processed)
    labels = class_folders(raw)
    files = [file for label in labels for file in _files(raw / label)]
    seen: list[_Seen] = []
    left_out = [left for label in labels for left in _folders_left_out(raw / label, raw)]
    with ThreadPoolExecutor() as pool, progress("verify", len(files)) as advance:
        for result in pool.map(lambda file: _look_at(file, raw), files):
            (seen if isinstance(result, _Seen) else left_out).append(result)  # type: ignore[arg-type]
            advance()
    seen = _without_copies(seen, left_out)
    _require_photos(labels, seen, raw)
    groups = group_near_duplicates([photo.hash for photo in seen])
    parts = round(1 / validation_fraction)
    folds = assign_folds([photo.label for photo in seen], groups, parts, seed)
    photos = [
        Photo(
            path=photo.path,
            label=photo.label,
            sha256=photo.sha256,
            size_bytes=photo.size_bytes,
            width=photo.width,
            height=photo.height,
            group=group,
            split="validation" if fold == 0 else "train",
        )
        for photo, group, fold in zip(seen, groups, folds.tolist(), strict=True)
    ]
    manifest = DatasetManifest(SCHEMA_VERSION, labels, seed, validation_fraction, photos, left_out)
    write_dataset(manifest, raw, processed, earlier)
    return manifest


def class_folders(folder: Path) -> list[str]:
    """The names of the class folders in `folder`, sorted; raises DatasetError for fewer than two or a pair alike."""
    if not folder.is_dir():
        raise DatasetError(f"{folder}: is not a folder; run `python -m training fetch` first")
    labels = [child.name for child in subfolders(folder)]
    if len(labels) < 2:
        found = f"only the class folder {labels[0]!r}" if labels else "no class folders"
        raise DatasetError(f"{folder}: {found}; put the photos of each class in a folder of its own, at least two")
    if pair := alike(labels):
        raise DatasetError(
            f"{folder}: the class folders {pair} differ only in case or in how accents are written; make them one"
        )
    return labels


def near_duplicates(manifest: DatasetManifest) -> list[list[str]]:
    """The paths of the photos that share a group, group by group."""
    groups: dict[int, list[str]] = defaultdict(list)
    for photo in manifest.photos:
        groups[photo.group].append(photo.path)
    return [paths for paths in groups.values() if len(paths) > 1]


def _require_apart(raw: Path, processed: Path) -> None:
    ours, theirs = processed.resolve(), raw.resolve()
    if ours == theirs or ours in theirs.parents or theirs in ours.parents:
        raise DatasetError(f"{processed}: is, holds or lies in the folder of the raw photos; choose one beside it")


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if is_photo_file(file.name) and not file.is_dir())


def _folders_left_out(folder: Path, raw: Path) -> list[LeftOut]:
    """The folders inside a class folder, with the number of files in each."""
    counts = {child: sum(1 for _ in files_below(child)) for child in subfolders(folder)}
    return [
        LeftOut(child.relative_to(raw).as_posix(), f"a folder with {count} files; `training fetch --source` takes them")
        for child, count in counts.items()
    ]


def _look_at(file: Path, raw: Path) -> _Seen | LeftOut:
    path = file.relative_to(raw).as_posix()
    readable = path.encode(errors="replace").decode()
    if readable != path:
        return LeftOut(readable, "the name is not UTF-8, which a manifest could not hold; rename the file")
    try:
        data = file.read_bytes()
        header = inspect(data)
        width, height = header.width, header.height
        pixels, damaged = decode_photo(data, _LOOK)
    except (ImageError, OSError) as error:
        return LeftOut(path, str(error))
    if damaged:
        return LeftOut(path, "damaged: pieces of the photo are missing; export it anew or take another copy")
    if min(width, height) < SHORTEST_SIDE:
        return LeftOut(path, f"tiny: {width} x {height} px, the shorter side must be at least {SHORTEST_SIDE}")
    digest = hashlib.sha256(data).hexdigest()
    return _Seen(path, file.parent.name, digest, len(data), width, height, picture_hash(Image.fromarray(pixels)))


def _without_copies(seen: Sequence[_Seen], left_out: list[LeftOut]) -> list[_Seen]:
    """One of each set of identical files; none where the copies stand under different classes."""
    copies: dict[str, list[_Seen]] = defaultdict(list)
    for photo in seen:
        copies[photo.sha256].append(photo)
    kept = []
    for first, *others in copies.values():
        labels = sorted({photo.label for photo in (first, *others)})
        if len(labels) > 1:
            reason = f"the same file stands under {' and '.join(labels)}; nobody can say which is right"
            left_out.extend(LeftOut(photo.path, reason) for photo in (first, *others))
        else:
            kept.append(first)
            left_out.extend(LeftOut(photo.path, f"the same file as {first.path}") for photo in others)
    return kept


def _require_photos(labels: Sequence[str], seen: Sequence[_Seen], raw: Path) -> None:
    for label in labels:
        if not any(photo.label == label for photo in seen):
            raise DatasetError(f"{raw / label}: holds no usable photo; add photos or remove the folder")
