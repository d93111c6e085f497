"""Where the bundle of a version comes from: this host's cache, the package itself, or the store of models."""

from __future__ import annotations

import logging
from collections.abc import Collection

from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import MANIFEST, Bundle, BundleError, Manifest, read_manifest
from runtime.errors import Refusal
from runtime.registry.cache import Cache
from runtime.registry.catalogue import Catalogue
from runtime.registry.pointer import Pointer
from runtime.registry.summary import Summaries
from runtime.serving.trial.runner import manifest_hash
from runtime.serving.versions.store_deadline import StoreDeadline
from runtime.store import Missing

log = logging.getLogger(__name__)


class UnknownVersion(Refusal):
    """No such version, neither on this host nor in the store."""


class BundleSource:
    """Verified bundles by their version. The shipped one needs neither cache nor store, nor a signature."""

    def __init__(
        self, catalogue: Catalogue, cache: Cache, summaries: Summaries, *, names: Collection[str] | None, local: bool
    ) -> None:
        """`names` and `local` as `Reloader` has them."""
        self._catalogue = catalogue
        self._cache = cache
        self._summaries = summaries
        self._names = names
        self._local = local

    def kept(self, version: str, deadline: StoreDeadline | None = None) -> Bundle:
        """The bundle of a version that is on this host; raises BundleError.

        With a deadline, one that is damaged or gone is fetched from the store again, if that has it.
        """
        shipped = version == default_bundle().name and version not in self._cache.versions()
        try:
            return Bundle.open(default_bundle()) if shipped else self._cache.open(version)
        except BundleError as damaged:
            if deadline is None:
                raise
            try:
                bundle = self._fetch(version, deadline)
            except (Refusal, OSError):
                raise damaged from None
            log.warning("%s was fetched again from %s: %s", version, self._catalogue.store.uri, damaged)
            return bundle

    def of(self, version: str, deadline: StoreDeadline) -> Bundle:
        """The bundle of a version that an operator names, from this host, else from the store.

        Versions are immutable. Raises UnknownVersion, StoreError, BundleError.
        """
        if version in {*self._cache.versions(), default_bundle().name}:
            try:
                return self.kept(version)
            except BundleError as error:
                log.warning("%s", error)
        try:
            return self._fetch(version, deadline)
        except Missing as error:
            where = self._catalogue.store.uri
            raise UnknownVersion(f"there is no version {version[:100]!r} in {where} or on this host") from error

    def pointed_at(self, pointer: Pointer, deadline: StoreDeadline, *, serving: Manifest | None) -> Bundle:
        """The bundle that the store points at, if a model of its name may serve; raises StoreError, BundleError.

        `serving` is the model that serves, None before there is one.
        """
        names, shipped = self.expected_names(serving), default_bundle()
        if names is None and pointer.target == (shipped.name, manifest_hash(shipped)):
            return Bundle.open(shipped)
        return self._fetch(pointer.version, deadline, pointer.manifest_sha256, names)

    def expected_names(self, serving: Manifest | None) -> Collection[str] | None:
        """The names of models that the store may point at; None if any may.

        If models must be signed and none is named, it is the name of the one that serves. One that was taught here is
        not meant by that: it gives way to what the store points at.
        """
        if self._local:
            return None
        if self._names is not None or not self._cache.is_signed:
            return self._names
        follows = serving is not None and serving.taught is None
        return {serving.name if serving and follows else read_manifest(default_bundle() / MANIFEST).name}

    def _fetch(
        self,
        version: str,
        deadline: StoreDeadline,
        manifest_sha256: str | None = None,
        names: Collection[str] | None = None,
    ) -> Bundle:
        summary = deadline.call(lambda: self._summaries.of(version))
        return deadline.call(
            lambda: self._cache.pull(self._catalogue, version, manifest_sha256=manifest_sha256, names=names),
            transfer_bytes=summary.size_bytes,
        )
