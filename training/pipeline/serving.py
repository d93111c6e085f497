"""The model that serves: what the models store points at, or the shipped bundle while it points at nothing."""

from __future__ import annotations

from typing import NamedTuple

from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import MANIFEST, Manifest, read_manifest
from runtime.registry.catalogue import Catalogue
from runtime.registry.pointer import Pointer
from runtime.store import Store


class Serving(NamedTuple):
    """Its manifest; the pointer that names it, None for the shipped bundle; the pointer's tag, for whoever moves it."""

    manifest: Manifest
    pointer: Pointer | None
    tag: str | None


def serving(models: Store) -> Serving:
    """What appliances that follow `models` serve. Raises StoreError, BundleError."""
    catalogue = Catalogue(models)
    tag, pointer = catalogue.tag(), catalogue.latest()  # in this order: a pointer that moves between them is a Conflict
    if pointer is None:
        return Serving(read_manifest(default_bundle() / MANIFEST), None, tag)
    return Serving(catalogue.manifest(pointer.version, sha256=pointer.manifest_sha256)[1], pointer, tag)
