"""The model of a batch: settled once, opened on every machine that takes part."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from runtime.bundle import Bundle, BundleError
from runtime.default import default_bundle
from runtime.models.cache import Cache
from runtime.models.catalogue import Catalogue
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
    """The bundle that was chosen, verified; brought into the folder `cache` where it is not there yet."""
    if models is None or version is None:
        return Bundle.open(default_bundle())
    return Cache(cache).pull(Catalogue(open_store(models)), version)
