"""Corrected photos that a reviewer accepted, beside the photos that are trained on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from runtime.host.atomic import temporary_folder
from runtime.names import DEFAULT_PRODUCT, UNKNOWN, label_among
from runtime.serving.feedback import MAX_PHOTO_BYTES
from runtime.serving.feedback.review import Corrected, ReviewError, accepted
from runtime.store import Store
from runtime.teaching.from_files.class_folders import class_folders_in
from training.storage.hashing import sha256_of

_PREFIX = "feedback-"  # of a corrected photo's file in a class folder

MAX_SUFFIX = 10  # characters: `.jpeg`


def bring_accepted(store: Store, raw: Path, product: str = DEFAULT_PRODUCT) -> int:
    """Lay the accepted photos of a product into their class folders below `raw`; returns how many.

    Those corrected to UNKNOWN join the photos of other things. Raises ReviewError for a label that the folders do not
    have: nobody means to add a class by correcting a photo.
    """
    photos = accepted(store, product)
    labels = _labels(raw)
    for photo in photos:
        if label_among([*labels, UNKNOWN], photo.label) is None:
            raise ReviewError(
                f"{store.uri}/{photo.photo}: was accepted as {photo.label!r}, which is no class of this dataset "
                f"({', '.join(labels)}); `python -m training feedback reject {photo.sha256[:12]}`"
            )
    for photo, target in _targets(photos, raw):
        if not target.exists():
            target.parent.mkdir(exist_ok=True)  # there may be no other photos of other things
            _bring(store, photo, target)
    return len(photos)


def applied(raw: Path) -> list[Path]:
    """The files that `bring_accepted` has laid into the class folders below `raw`."""
    return sorted(raw.glob(f"*/{_PREFIX}*"))


def _labels(raw: Path) -> list[str]:
    return [folder.name for folder in class_folders_in(raw)]


def _bring(store: Store, photo: Corrected, target: Path) -> None:
    with temporary_folder(target.parent) as folder:
        part = folder / target.name
        store.download(photo.photo, part, max_bytes=MAX_PHOTO_BYTES)
        if sha256_of(part) != photo.sha256:
            raise ReviewError(f"{store.uri}/{photo.photo}: is not the photo that was accepted; delete it")
        part.replace(target)


def _targets(photos: list[Corrected], raw: Path) -> Iterator[tuple[Corrected, Path]]:
    labels = [*_labels(raw), UNKNOWN]
    for photo in photos:
        ending = PurePosixPath(photo.photo).suffix[:MAX_SUFFIX]
        yield photo, raw / (label_among(labels, photo.label) or photo.label) / f"{_PREFIX}{photo.sha256}{ending}"
