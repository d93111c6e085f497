"""Putting a version into a store, such that a reader never sees half of it, whenever the writer dies."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import msgspec

from runtime.bundle import MANIFEST, Bundle, BundleError
from runtime.models.catalogue import (
    CHECKPOINT,
    LATEST_CHECKPOINT,
    MODELS,
    POINTER,
    SIGNATURE,
    Catalogue,
    Pointer,
    key_of,
)
from runtime.store import Missing, Store

KEPT = 5  # versions in a store besides the latest and those that are in use


def publish(folder: Path, store: Store, *, checkpoint: Path | None = None, tag: str | None = None) -> Pointer:
    """Publish the bundle in `folder` and point at it; a second time changes nothing.

    First the files, then what was stored is read back and verified, then the pointer, which must still have `tag`
    (None: there is none yet). Raises as `add` does, and Conflict where somebody else has moved the pointer meanwhile.
    """
    pointer = add(folder, store, checkpoint=checkpoint)
    if not _points_at(store, pointer):
        store.write(POINTER, msgspec.json.encode(pointer), replaces=tag)
    if checkpoint:
        store.upload(LATEST_CHECKPOINT, checkpoint)
    return pointer


def add(folder: Path, store: Store, *, checkpoint: Path | None = None) -> Pointer:
    """Put the bundle in `folder` beside the others, verified, and point at nothing; returns what would point at it.

    Raises BundleError for a bundle that is not intact, or where the version is there with other content; StoreError.
    """
    bundle = Bundle.open(folder)
    version = bundle.manifest.version
    manifest = (folder / MANIFEST).read_bytes()
    pointer = Pointer(version, hashlib.sha256(manifest).hexdigest())
    if _already_there(store, version, manifest):
        _verify(store, version, pointer)
    else:
        for name in bundle.manifest.files:
            store.upload(key_of(version, name), folder / name)
        if checkpoint:
            store.upload(key_of(version, CHECKPOINT), checkpoint)
        if (folder / SIGNATURE).is_file():
            store.upload(key_of(version, SIGNATURE), folder / SIGNATURE)
        store.write(key_of(version, MANIFEST), manifest)  # last: a version without it is not there
        _verify(store, version, pointer)
    return pointer


def point_at(store: Store, version: str, *, tag: str | None) -> Pointer:
    """Point at a version that is in the store: promote, or roll back. Raises as `publish` does."""
    data, _ = Catalogue(store).manifest(version)
    pointer = Pointer(version, hashlib.sha256(data).hexdigest())
    _verify(store, version, pointer)
    store.write(POINTER, msgspec.json.encode(pointer), replaces=tag)
    return pointer


def prune(store: Store, *, keep: int = KEPT, in_use: frozenset[str] = frozenset()) -> list[str]:
    """Remove the oldest versions, but for the `keep` newest, the latest and those `in_use`; returns what was removed.

    The manifest goes first: a version that is half removed is not there.
    """
    catalogue = Catalogue(store)
    latest = catalogue.latest()
    needed = in_use | ({latest.version} if latest else set())
    spare = [version for version in catalogue.versions() if version not in needed]
    removed = spare[:-keep] if keep else spare
    for version in removed:
        store.delete(key_of(version, MANIFEST))
        for entry in list(store.list(f"{MODELS}/{version}/")):
            store.delete(entry.key)
    return removed


def _points_at(store: Store, pointer: Pointer) -> bool:
    try:
        return Catalogue(store).latest() == pointer
    except BundleError:
        return False  # a pointer that cannot be read is there to be replaced


def _already_there(store: Store, version: str, manifest: bytes) -> bool:
    try:
        there, _ = store.read(key_of(version, MANIFEST))
    except Missing:
        return False
    if there != manifest:
        raise BundleError(f"{store.uri}: holds another version {version}; export this one under a new version")
    return True


def _verify(store: Store, version: str, pointer: Pointer) -> None:
    """Read back what a reader would."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / version
        folder.mkdir()
        data, manifest = Catalogue(store).manifest(version, sha256=pointer.manifest_sha256)
        (folder / MANIFEST).write_bytes(data)
        for name in manifest.files:
            store.download(key_of(version, name), folder / name)
        Bundle.open(folder)
