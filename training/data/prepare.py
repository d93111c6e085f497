"""Dataset preparation: verify, deduplicate, split, describe in a manifest."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from runtime.names import UNKNOWN, alike, is_reserved
from runtime.teaching.from_files.class_folders import class_folders_in
from training.data.dataset import (
    SCHEMA_VERSION,
    UNKNOWN_SCHEMA_VERSION,
    DatasetError,
    DatasetManifest,
    LeftOut,
    Photo,
)
from training.data.placement import placed_before, write_dataset
from training.data.split import assign_photos
from training.data.survey import Survey, survey

LEAST_OTHERS = 20  # different photos of other things, below which no unknown class is learned from them


def prepare(
    raw: Path,
    processed: Path,
    *,
    validation_fraction: float = 0.2,
    seed: int = 42,
    surveyed: Survey | None = None,
) -> DatasetManifest:
    """Make the dataset `processed` from the class folders in `raw`, of which `surveyed` is the survey if there is one.

    Photos that do not decode, are damaged or tiny, stand there twice, or under two classes, are left out and listed.
    The manifest is written last; the same photos and seed give the same manifest. The validation part is one of
    round(1 / `validation_fraction`) folds, at most half. In `processed`, only what an earlier run placed there is
    replaced. Raises DatasetError where what is left cannot be split, and where `processed` holds anything else.
    """
    if not 0 < validation_fraction <= 0.5:
        raise DatasetError(f"a validation fraction of {validation_fraction:g}; choose more than 0 and at most 0.5")
    _require_apart(raw, processed)
    earlier = placed_before(processed)
    labels = class_folders(raw)
    found = _with_enough_others(surveyed or survey(raw))
    _require_photos(found)
    parts = round(1 / validation_fraction)
    folds = assign_photos(found.photos, found.groups, parts, seed)
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
        for photo, group, fold in zip(found.photos, found.groups, folds.tolist(), strict=True)
    ]
    version = UNKNOWN_SCHEMA_VERSION if any(photo.label == UNKNOWN for photo in photos) else SCHEMA_VERSION
    manifest = DatasetManifest(version, labels, seed, validation_fraction, photos, found.left_out)
    write_dataset(manifest, raw, processed, earlier)
    return manifest


def class_folders(folder: Path) -> list[str]:
    """The names of the class folders in `folder`, sorted; raises DatasetError for fewer than two or a pair alike.

    The folder of photos of other things, `(unknown)`, is none of them.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: is not a folder; run `python -m training fetch` first")
    labels = [child.name for child in class_folders_in(folder)]
    if reserved := next(filter(is_reserved, labels), None):
        raise DatasetError(
            f"{folder / reserved}: is reserved for photos of none of the classes, and is spelt {UNKNOWN}; rename it"
        )
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


def _with_enough_others(found: Survey) -> Survey:
    """The survey, without its photos of other things where they are too few to learn an unknown class from."""
    groups = zip(found.photos, found.groups, strict=True)
    different = len({group for photo, group in groups if photo.label == UNKNOWN})
    if different >= LEAST_OTHERS or not different:
        return found
    reason = (
        f"only {different} different photos of other things, which teach nothing; it takes {LEAST_OTHERS}, "
        "and `python -m training fetch --other public` brings some"
    )
    left_out = [*found.left_out, *(LeftOut(photo.path, reason) for photo in found.others)]
    return replace(found.of_classes(), left_out=left_out)


def _require_photos(found: Survey) -> None:
    for label in found.labels:
        if not any(photo.label == label for photo in found.photos):
            raise DatasetError(f"{found.folder / label}: holds no usable photo; add photos or remove the folder")
