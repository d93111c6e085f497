"""Resolve the model version of a batch once; open it on every worker machine."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import Bundle, BundleError
from runtime.registry.cache import Cache
from runtime.registry.catalogue import Catalogue
from runtime.store import open_store


class Choice(NamedTuple):
    """`version` is None for the bundle in this package."""

    version: str | None
    labels: tuple[str, ...]


def choose(models: str | None, version: str | None) -> Choice:
    """The `version` in the store `models`, else the one that it says to serve, else the bundle in this package.

    Raises BundleError for a version without a store, StoreError.
    """
    if models is None:
        if version:
            raise BundleError(f"{version}: name the store that has it, with --models or DANDELION_MODELS")
        return Choice(None, tuple(Bundle.open(default_bundle()).manifest.labels))
    catalogue = Catalogue(open_store(models))
    if version is None:
        latest = catalogue.latest()
        if latest is None:
            return choose(None, None)
        version = latest.version
    return Choice(version, tuple(catalogue.manifest(version)[1].labels))


def open_model(models: str | None, version: str | None, cache: Path) -> Bundle:
    """The chosen bundle, verified; downloaded into the folder `cache` if needed."""
    if models is None or version is None:
        return Bundle.open(default_bundle())
    return Cache(cache).pull(Catalogue(open_store(models)), version)
