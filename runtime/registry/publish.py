"""Publish, promote and prune model versions: idempotent, crash-safe, with a conditional write of the pointer.

A reader never sees a partial version, whenever the writer is killed.
"""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from runtime.bundle.manifest import (
    MANIFEST,
    MAX_MANIFEST_BYTES,
    MAX_SIGNATURE_BYTES,
    SIGNATURE,
    Bundle,
    BundleError,
    Manifest,
)
from runtime.errors import Refusal
from runtime.names import is_name
from runtime.registry.catalogue import CHECKPOINT, LATEST_CHECKPOINT, MODELS, POINTER, Catalogue, key_of
from runtime.registry.pointer import MAX_POINTER_BYTES, Pointer, check_signature, signed
from runtime.registry.signature import SIGNING_VARIABLE, is_signed, sign
from runtime.store import Conflict, Entry, Missing, Store, StoreError, TooLarge
from runtime.store.conditions import warn_of_conditions

if TYPE_CHECKING:
    from nacl.signing import SigningKey

KEPT = 5  # versions in a store besides the latest and those that are in use
ABANDONED_S = 3600  # an incomplete version without a write for this long is abandoned
LATEST = LATEST_CHECKPOINT.split("/")[1]  # the folder beside the versions


class UnsignedPointer(Refusal):
    """A signed pointer would be replaced by one that is not."""


def publish(
    folder: Path, store: Store, *, checkpoint: Path | None = None, tag: str | None = None, key: SigningKey | None = None
) -> Pointer:
    """Publish the bundle in `folder` and point at it. Idempotent.

    The files are written first, then read back and verified. The pointer comes last, by a conditional write
    (compare-and-swap): it must still have `tag` (None: there is no pointer yet). With `key`, bundle and pointer are
    signed. Raises as `add` does, UnsignedPointer if the pointer is signed and there is no key, and Conflict if another
    writer has moved the pointer.
    """
    _check_may_point(store, key)
    pointer = add(folder, store, checkpoint=checkpoint, key=key)
    current = _current(store)
    if current and current.target == pointer.target and _is_ours(current, key):
        pointer = current
    else:
        pointer = _point(store, pointer, tag, key)
    if checkpoint:
        store.upload(LATEST_CHECKPOINT, checkpoint)
    return pointer


def add(folder: Path, store: Store, *, checkpoint: Path | None = None, key: SigningKey | None = None) -> Pointer:
    """Upload and verify the bundle in `folder` without promoting it; returns the pointer that would promote it.

    With `key` it is signed, unless it is already. Missing or damaged files of a stored version are repaired. Raises
    BundleError if the bundle is not intact, or if the version is stored with another manifest; StoreError.
    """
    bundle = Bundle.open(folder)
    version = bundle.manifest.version
    manifest = (folder / MANIFEST).read_bytes()
    signature = _signature(folder, manifest, key)
    with suppress(StoreError):  # whether this may be removed says nothing about what may be written
        store.remove_abandoned(f"{MODELS}/")
    pointer = Pointer(version, hashlib.sha256(manifest).hexdigest())
    whole = _already_there(store, version, manifest) and _is_whole(store, pointer)
    if not whole:
        _upload(store, bundle, checkpoint)
    if signature:
        store.write(key_of(version, SIGNATURE), signature)
    if whole:
        return pointer
    store.write(key_of(version, MANIFEST), manifest)  # last: a version without it is not there
    return _verified(store, pointer)


def point_at(store: Store, version: str, *, tag: str | None, key: SigningKey | None = None) -> Pointer:
    """Promote a version that is in the store, or roll back to it. Raises as `publish` does.

    With `key`, the version must have been signed by it: a version that somebody else uploaded is not promoted unseen.
    The pointer is signed anew, with a higher counter, even if it names the version already: it may be an old one.
    """
    _check_may_point(store, key)
    data, _ = Catalogue(store).manifest(version)
    if key:
        _check_signed(store, version, data, key)
    return _point(store, _verified(store, Pointer(version, hashlib.sha256(data).hexdigest())), tag, key)


def sign_version(store: Store, version: str, key: SigningKey) -> Manifest:
    """Sign a version that is in the store, such as one that an appliance was taught; its files are verified first.

    Its pointer stays. Raises Missing, BundleError, StoreError.
    """
    data, manifest = Catalogue(store).manifest(version)
    _verified(store, Pointer(version, hashlib.sha256(data).hexdigest()))
    store.write(key_of(version, SIGNATURE), sign(data, key))
    return manifest


def prune(store: Store, *, keep: int = KEPT, in_use: frozenset[str] = frozenset()) -> list[str]:
    """Remove the oldest versions, but for the `keep` newest, the latest and those `in_use`; returns what was removed.

    The manifest goes first: a version that is half removed is not there. What is left of one whose removal or
    publication was interrupted goes, too, after ABANDONED_S without a write.
    """
    catalogue = Catalogue(store)
    latest = catalogue.latest()
    needed = in_use | ({latest.version} if latest else set())
    spare = [version for version in catalogue.versions() if version not in needed]
    removed = spare[:-keep] if keep else spare
    for version in removed:
        store.delete(key_of(version, MANIFEST))
    for version in {*removed, *_unfinished(store)}:
        for entry in list(store.list(f"{MODELS}/{version}/")):
            store.delete(entry.key)
    with suppress(StoreError):
        store.remove_abandoned(f"{MODELS}/")
    return removed


def _unfinished(store: Store) -> Iterator[str]:
    """Abandoned versions: without a manifest, and without a recent write."""
    files: dict[str, list[Entry]] = defaultdict(list)
    for entry in store.list(f"{MODELS}/"):
        _, version, *name = entry.key.split("/")
        if name:
            files[version].append(entry)
    for version, entries in files.items():
        whole = any(entry.key == key_of(version, MANIFEST) for entry in entries)
        old = max(entry.modified for entry in entries) < time.time() - ABANDONED_S
        if is_name(version) and version != LATEST and old and not whole:
            yield version


def _check_may_point(store: Store, key: SigningKey | None) -> None:
    current = _current(store)
    if current and current.signature and not key:
        raise UnsignedPointer(
            f"{store.uri}/{POINTER}: is signed, and {SIGNING_VARIABLE} is not set; set it, or delete the pointer to go "
            "on without signatures"
        )


def _point(store: Store, pointer: Pointer, tag: str | None, key: SigningKey | None) -> Pointer:
    current = _current(store)
    if key:
        pointer = signed(pointer, key, after=current.counter if current else 0)
    if tag is None:
        warn_of_conditions(store, MODELS)  # the first publication here
    data = msgspec.json.encode(pointer)
    try:
        store.write(POINTER, data, replaces=tag)
    except Conflict:
        # If the answer to a write is lost, it is sent again, and that finds the first. What is there says who won.
        if _content(store, POINTER) != data:
            raise
    return pointer


def _content(store: Store, key: str) -> bytes | None:
    try:
        return store.read(key, max_bytes=MAX_POINTER_BYTES)[0]
    except (Missing, TooLarge):
        return None


def _current(store: Store) -> Pointer | None:
    try:
        return Catalogue(store).latest()
    except BundleError:
        return None  # a pointer that cannot be read is there to be replaced


def _is_ours(pointer: Pointer, key: SigningKey | None) -> bool:
    """Whether the pointer needs no signature, or has one that `key` made."""
    try:
        if key:
            check_signature(pointer, key.verify_key, origin=POINTER)
    except BundleError:
        return False
    return True


def _signature(folder: Path, manifest: bytes, key: SigningKey | None) -> bytes | None:
    """The signature file of the bundle, or a new signature if that is not by `key`."""
    file = folder / SIGNATURE
    there = file.read_bytes()[:MAX_SIGNATURE_BYTES] if file.is_file() else None
    if key is None or (there and is_signed(manifest, there, key.verify_key)):
        return there
    return sign(manifest, key)


def _check_signed(store: Store, version: str, manifest: bytes, key: SigningKey) -> None:
    try:
        signature, _ = store.read(key_of(version, SIGNATURE), max_bytes=MAX_SIGNATURE_BYTES)
    except Missing:
        signature = b""
    if not is_signed(manifest, signature, key.verify_key):
        raise BundleError(
            f"{store.uri}/{MODELS}/{version}: is not signed by the key in {SIGNING_VARIABLE}; publish it again from "
            "where it was made, python -m runtime models publish BUNDLE, or sign it if you know who taught it: "
            f"python -m runtime models sign {version}"
        )


def _already_there(store: Store, version: str, manifest: bytes) -> bool:
    try:
        there, _ = store.read(key_of(version, MANIFEST), max_bytes=MAX_MANIFEST_BYTES)
    except Missing:
        return False
    if there != manifest:
        raise BundleError(f"{store.uri}: holds another version {version}; export this one under a new version")
    return True


def _upload(store: Store, bundle: Bundle, checkpoint: Path | None) -> None:
    version = bundle.manifest.version
    for name in bundle.manifest.files:
        store.upload(key_of(version, name), bundle.path / name)
    if checkpoint:
        store.upload(key_of(version, CHECKPOINT), checkpoint)


def _is_whole(store: Store, pointer: Pointer) -> bool:
    """Whether a version whose manifest is there has all its files: one that was pruned meanwhile has not."""
    try:
        _verified(store, pointer)
    except (BundleError, Missing, TooLarge):
        return False
    return True


def _verified(store: Store, pointer: Pointer) -> Pointer:
    """`pointer`, after a look at what a reader would get; raises BundleError, Missing and TooLarge."""
    version = pointer.version
    _, manifest = Catalogue(store).manifest(version, sha256=pointer.manifest_sha256)
    for name, entry in manifest.files.items():
        found = store.digest(key_of(version, name), max_bytes=entry.size_bytes)
        if found != (entry.sha256, entry.size_bytes):
            raise BundleError(
                f"{store.uri}/{key_of(version, name)}: {found.size_bytes} bytes of sha256 {found.sha256[:8]}…, the "
                f"manifest says {entry.size_bytes} of {entry.sha256[:8]}…; publish it again"
            )
    return pointer
