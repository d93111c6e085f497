"""The photos that a model was taught from, in the data store, where the training pipeline finds them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from runtime.errors import Refusal
from runtime.image.formats import NAMES, detect_format
from runtime.store import Conflict, Store
from runtime.store.data_trees import TAUGHT, data_tree
from runtime.store.trees import INDEX, Index, read_index, replace_tree, write_index


class OtherOrigin(Refusal):
    """A place in the data store where another dataset's photos lie."""


class _Removed(Exception):
    """A photo was removed from this host while it was sent."""


class TaughtPhoto(NamedTuple):
    """A photo on this host, under the label that a person gave it."""

    label: str
    sha256: str
    file: Path


def send_photos(store: Store, product: str, dataset: str, photos: Iterable[TaughtPhoto]) -> int:
    """Make the product's tree `taught` exactly these photos; returns how many travelled. Idempotent.

    They lie below `products/PRODUCT/taught/LABEL/`, named by their SHA-256, and the index beside them names `dataset`.
    A photo that is not on this host any more, or has changed, is left out: somebody has removed it. The same photo
    under two labels is sent under both. Raises OtherOrigin if the tree is another dataset's, StoreError, SyncError.
    """
    photos, prefix = list(photos), data_tree(product, TAUGHT)
    while True:
        with suppress(_Removed):  # by somebody, meanwhile: what is left is another tree
            return _replace(store, prefix, dataset, photos)


def remove_photos(store: Store, product: str, dataset: str) -> bool:
    """Remove the product's tree `taught` if it is this dataset's; returns whether it was. Raises StoreError, SyncError.

    The index goes first: whoever reads meanwhile finds no tree, and what a kill leaves the next sending removes.
    """
    prefix = data_tree(product, TAUGHT)
    held = [entry.key for entry in store.list(f"{prefix}/")]
    index = read_index(store, prefix) if f"{prefix}/{INDEX}" in held else None
    if index is None or index.origin != dataset:
        return False
    store.delete(f"{prefix}/{INDEX}")
    for key in held:
        store.delete(key)
    return True


def _replace(store: Store, prefix: str, dataset: str, photos: Sequence[TaughtPhoto]) -> int:
    before = _claimed(store, prefix, dataset)
    sources = dict(_paths(photos, before))

    def put(paths: Sequence[str]) -> None:
        for path in paths:
            data = _read(sources[path])
            if data is None:
                raise _Removed
            store.write(f"{prefix}/{path}", data)

    files = {path: photo.sha256 for path, photo in sources.items()}
    return replace_tree(store, prefix, files, put, before=before, origin=dataset)


def _claimed(store: Store, prefix: str, dataset: str) -> Index:
    """The index of the tree, which is this dataset's; where there is none, an empty one is written first."""
    held = {entry.key for entry in store.list(f"{prefix}/")}  # a key that may only list is refused what is not there
    index = read_index(store, prefix) if f"{prefix}/{INDEX}" in held else None
    if index is None:
        try:
            write_index(store, prefix, {}, origin=dataset, replaces=None)
        except Conflict:
            index = read_index(store, prefix)
        else:
            return Index("", {}, dataset)
    if index is None or index.origin != dataset:
        raise OtherOrigin(
            f"{store.uri}/{prefix}: holds photos of another dataset; give this one another name and serve it again, "
            "or delete what is there"
        )
    return index


def _paths(photos: Iterable[TaughtPhoto], before: Index) -> Iterator[tuple[str, TaughtPhoto]]:
    """The photos that are still on this host, by their paths below the tree."""
    known = {path.rsplit(".", 1)[0]: path for path in before.files}
    for photo in photos:
        name = f"{photo.label}/{photo.sha256}"
        if name in known and photo.file.is_file():
            yield known[name], photo
        elif (data := _read(photo)) is not None:
            yield f"{name}.{NAMES[detect_format(data) or ''].lower()}", photo


def _read(photo: TaughtPhoto) -> bytes | None:
    """The photo, None if it is gone or has changed."""
    try:
        data = photo.file.read_bytes()
    except OSError:
        return None
    same = hashlib.sha256(data).hexdigest() == photo.sha256
    return data if same and detect_format(data) in NAMES else None
