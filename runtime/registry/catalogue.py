"""Catalogue of the model registry: the versions in a store, and the pointer to the latest one."""

from __future__ import annotations

import hashlib

from runtime.bundle.manifest import MANIFEST, MAX_MANIFEST_BYTES, BundleError, Manifest, parse_manifest
from runtime.names import is_name
from runtime.registry.pointer import MAX_POINTER_BYTES, Pointer, parse_pointer
from runtime.store import Missing, Store, TooLarge

MODELS = "models"
POINTER = f"{MODELS}/latest.json"
CHECKPOINT = "model.pt"  # beside each version's model.onnx
LATEST_CHECKPOINT = f"{MODELS}/latest/best_model.pt"  # that of the promoted version, under the name users know
MAX_LISTED = 100_000  # objects below `models/`, of all versions: their names must fit into a small appliance's memory
MAX_SHOWN = 100  # characters of a name that is none, in an error


class Catalogue:
    """Reads the versions and the pointer of a store. Every method raises StoreError if the store is unreachable."""

    def __init__(self, store: Store) -> None:
        """Nothing is asked yet."""
        self.store = store

    def latest(self) -> Pointer | None:
        """The pointer to the latest version, None if nothing is published; raises BundleError for an invalid one.

        Its signature is not checked here: the caller does that.
        """
        try:
            data, _ = self.store.read(POINTER, max_bytes=MAX_POINTER_BYTES)
        except Missing:
            return None
        except TooLarge as error:
            raise BundleError(f"{error}; publish a model again") from error
        return parse_pointer(data, origin=f"{self.store.uri}/{POINTER}")

    def tag(self) -> str | None:
        """The ETag of the pointer, valid or not, for a conditional write; None if there is no pointer."""
        return self.store.tag(POINTER)

    def versions(self) -> list[str]:
        """The versions whose manifest is there, in the order of their names: oldest first, as export names them."""
        ending = f"/{MANIFEST}"
        keys = (entry.key for entry in self.store.list(f"{MODELS}/", at_most=MAX_LISTED))
        found = [key.removeprefix(f"{MODELS}/").removesuffix(ending) for key in keys if key.endswith(ending)]
        return sorted(version for version in found if is_name(version))

    def manifest(self, version: str, *, sha256: str | None = None) -> tuple[bytes, Manifest]:
        """The manifest of one version, as bytes and parsed.

        Raises Missing if there is no such version, BundleError for a manifest that is not valid, names another
        version or has not the hash `sha256`.
        """
        if not is_name(version):
            raise Missing(f"{self.store.uri}: {version[:MAX_SHOWN]!r} is no version; see `models list`")
        origin = f"{self.store.uri}/{key_of(version, MANIFEST)}"
        try:
            data, _ = self.store.read(key_of(version, MANIFEST), max_bytes=MAX_MANIFEST_BYTES)
        except TooLarge as error:
            raise BundleError(f"{error}; publish it again") from error
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
