"""The versions of a model in a store, and the pointer to the one to serve."""

from __future__ import annotations

import hashlib

import msgspec

from runtime.bundle import MANIFEST, BundleError, Manifest, Sha256, Version, parse_manifest
from runtime.store import Missing, Store

MODELS = "models"
POINTER = f"{MODELS}/latest.json"
SIGNATURE = "manifest.sig"
CHECKPOINT = "best_model.pt"
LATEST_CHECKPOINT = f"{MODELS}/latest/{CHECKPOINT}"


class Pointer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`models/latest.json`: the version to serve, and the hash of its manifest, which holds the hashes of its files."""

    version: Version
    manifest_sha256: Sha256


class Catalogue:
    """What a store says of its models. Every method raises StoreError where the store cannot be asked."""

    def __init__(self, store: Store) -> None:
        """Nothing is asked yet."""
        self.store = store

    def latest(self) -> Pointer | None:
        """The version to serve, None where nothing is published; raises BundleError for a pointer of another kind."""
        try:
            data, _ = self.store.read(POINTER)
        except Missing:
            return None
        try:
            return msgspec.json.decode(data, type=Pointer)
        except msgspec.DecodeError as error:
            raise BundleError(f"{self.store.uri}/{POINTER}: {error}; publish a model again") from error

    def tag(self) -> str | None:
        """The tag of the pointer, for who means to replace it, readable or not; None where there is no pointer."""
        try:
            return self.store.read(POINTER)[1]
        except Missing:
            return None

    def versions(self) -> list[str]:
        """The versions whose manifest is there, in the order of their names: oldest first, as export names them."""
        ending = f"/{MANIFEST}"
        keys = (entry.key for entry in self.store.list(f"{MODELS}/"))
        return [key.removeprefix(f"{MODELS}/").removesuffix(ending) for key in keys if key.endswith(ending)]

    def manifest(self, version: str, *, sha256: str | None = None) -> tuple[bytes, Manifest]:
        """The manifest of one version, as bytes and parsed.

        Raises Missing where there is no such version, BundleError for a manifest that is not valid, names another
        version or has not the hash `sha256`.
        """
        origin = f"{self.store.uri}/{key_of(version, MANIFEST)}"
        data, _ = self.store.read(key_of(version, MANIFEST))
        found = hashlib.sha256(data).hexdigest()
        if sha256 is not None and found != sha256:
            raise BundleError(f"{origin}: sha256 is {found[:8]}…, {POINTER} says {sha256[:8]}…; publish it again")
        manifest = parse_manifest(data, origin=origin)
        if manifest.version != version:
            raise BundleError(f"{origin}: is the manifest of version {manifest.version}; publish it again")
        return data, manifest


def key_of(version: str, name: str) -> str:
    """The key of one file of a version."""
    return f"{MODELS}/{version}/{name}"
