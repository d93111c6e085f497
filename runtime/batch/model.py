"""Resolve the model version of a batch once; open it on every worker machine."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Self

from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import Bundle, BundleError, Manifest
from runtime.registry.cache import Cache
from runtime.registry.catalogue import Catalogue
from runtime.store import is_key, open_store


class Choice(NamedTuple):
    """`version` is None for the bundle in this package. `unknown` is whether it has the unknown class."""

    version: str | None
    labels: tuple[str, ...]
    unknown: bool

    @classmethod
    def of(cls, version: str | None, manifest: Manifest) -> Self:
        """That version, which has this manifest."""
        return cls(version, tuple(manifest.labels), manifest.unknown is not None)


def choose(models: str | None, version: str | None, bundle: Path | None = None) -> Choice:
    """The folder `bundle`, else the `version` in the store `models`, else its latest, else the bundle in this package.

    Raises BundleError for a version without a store, for a bundle that is damaged or of another version; StoreError.
    """
    if bundle is not None:
        opened = _opened(bundle, version)
        return Choice.of(opened.manifest.version, opened.manifest)
    if models is None:
        if version:
            raise BundleError(f"{version}: name the store that has it, with --models or DANDELION_MODELS")
        return Choice.of(None, Bundle.open(default_bundle()).manifest)
    catalogue = Catalogue(open_store(models))
    if version is None:
        latest = catalogue.latest()
        if latest is None:
            return choose(None, None)
        version = latest.version
    return Choice.of(version, catalogue.manifest(version)[1])


def open_model(models: str | None, version: str | None, cache: Path, bundle: Path | None = None) -> Bundle:
    """The chosen bundle, verified; downloaded into the folder `cache` if needed."""
    if bundle is not None:
        return _opened(bundle, version)
    if models is None or version is None:
        return Bundle.open(default_bundle())
    return Cache(cache).pull(Catalogue(open_store(models)), version)


def _opened(bundle: Path, version: str | None) -> Bundle:
    if not is_key(str(bundle.resolve()).lstrip("/") or "."):
        raise BundleError(
            f"{str(bundle)!r}: is not UTF-8, or has control characters in it; give the folder another name"
        )
    opened = Bundle.open(bundle)
    if version not in {None, opened.manifest.version}:
        raise BundleError(f"{bundle}: holds version {opened.manifest.version}, not {version}; name one of the two")
    return opened
