"""Publication of what was taught here: to the store if that takes it, else to this host alone; it serves at once."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Literal

import msgspec

from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import Bundle, BundleError
from runtime.errors import Refusal
from runtime.names import Version
from runtime.registry.publish import UnsignedPointer, add, prune, publish
from runtime.serving.taught.uploads import REMEDY
from runtime.serving.versions.disk import on_disk
from runtime.serving.versions.reloader import Reloader
from runtime.serving.versions.store_status import NOT_ASKED
from runtime.store import Conflict, Denied, StoreError

PATIENCE_S = 5.0  # with a store that was away at the last look
TRANSFERS = 4  # of a bundle, at most: it and the shipped one are written, and read back

log = logging.getLogger(__name__)


class OneBundle(Refusal):
    """An appliance that serves the one bundle that it was told to."""


class Offered(msgspec.Struct, frozen=True):
    """Where a taught version went: to the `store` that other appliances follow, or to the `cache` of this host alone.

    `detail` says it in a sentence for people; `pinned` is whether it serves whatever the store points at.
    """

    version: Version
    where: Literal["store", "cache"]
    pinned: bool
    detail: str


class Publisher:
    """Publishes one bundle at a time. Thread-safe."""

    def __init__(self, reloader: Reloader | None) -> None:
        """Without `reloader` every bundle is refused."""
        self._reloader = reloader
        self._lock = threading.Lock()

    def offer(self, folder: Path, *, serve: bool = True) -> Offered:
        """Publish the bundle in `folder`, which was taught here, and serve it at once. Idempotent.

        It is copied into the cache and tried in a child process first: what fails there is published nowhere. Then it
        serves, and then it is published, however long that takes. A store that is away or refuses it does not keep it
        from serving here, pinned. Without `serve` it is left to the appliance that uses the same cache, if one runs, to
        serve it after its next look.

        Raises OneBundle where DANDELION_BUNDLE names what serves, BundleError if the bundle is not intact or fails its
        trial, Conflict if another version was published meanwhile, BadKey for a damaged key of this host, and
        DiskRefused.
        """
        if self._reloader is None:
            raise OneBundle("DANDELION_BUNDLE names the one model that serves here; unset it to serve what was taught")
        with self._lock, self._reloader.changing(folder.name):
            offered = _Offer(self._reloader, folder).make(serve=serve)
        if serve:  # else there is a person who reads the detail
            level = logging.WARNING if offered.pinned else logging.INFO
            log.log(level, "taught %s: %s", offered.version, offered.detail)
        return offered


class _Offer:
    """One bundle on its way, from its copy in the cache."""

    def __init__(self, reloader: Reloader, folder: Path) -> None:
        self._reloader = reloader
        self._cache = reloader.cache
        self._store = reloader.catalogue.store
        with on_disk():
            Bundle.open(folder)
            self._cache.sign(folder)
            self._bundle = self._cache.add(folder)
        self._version = self._bundle.manifest.version

    def make(self, *, serve: bool) -> Offered:
        """See Publisher.offer. It is pinned until the store points at it: no poll undoes it, and no kill halves it."""
        self._reloader.try_for_operator(self._bundle)
        before = self._cache.state.pinned
        if serve:
            self._reloader.switch(self._bundle, pin=True)
        else:
            with on_disk():
                self._cache.pin(self._version)
        try:
            offered = self._place(pinned=before is not None)
        except Conflict:
            self._pin(before)
            raise
        if not offered.pinned:
            self._pin(None)
        return offered

    def _place(self, *, pinned: bool) -> Offered:
        """Put it where it may be: into the store, which then points at it if it may, else to this host alone.

        `pinned` is whether another version was pinned, so that this one stays so.
        """
        status = self._reloader.status
        away = not status.reachable and status.detail != NOT_ASKED
        deadline = self._reloader.deadline(PATIENCE_S if away else None)
        size_bytes = sum(entry.size_bytes for entry in self._bundle.manifest.files.values())
        restriction = self._restriction()
        try:
            tag = deadline.call(self._reloader.catalogue.tag)
            put = partial(add, self._bundle.path, self._store) if restriction else partial(self._publish, tag)
            deadline.call(put, transfer_bytes=TRANSFERS * size_bytes)
        except Conflict:
            raise
        except (StoreError, BundleError, UnsignedPointer) as refusal:
            return self._alone(self._not_taken(refusal))
        return self._alone(restriction) if restriction else self._published(pinned=pinned)

    def _publish(self, tag: str | None) -> None:
        if tag is None:  # the shipped one has served till now: one can go back to it
            add(default_bundle(), self._store)
        publish(self._bundle.path, self._store, tag=tag)
        if self._reloader.is_local:
            state = self._cache.state
            known = (default_bundle().name, state.last_good, state.previous, state.pinned)
            with suppress(StoreError):
                prune(self._store, in_use=frozenset(filter(None, known)))

    def _published(self, *, pinned: bool) -> Offered:
        local = self._reloader.is_local
        detail = "it is kept on this host" if local else f"it is in {self._store.uri}, for all that follow that store"
        also = "; it is pinned here, as the version before it was" if pinned else ""
        return Offered(self._version, "cache" if local else "store", pinned, detail + also)

    def _alone(self, detail: str) -> Offered:
        with suppress(OSError):  # a disk that is full: it stays as long as it is pinned
            self._cache.keep(self._version)
        return Offered(self._version, "cache", True, f"it serves on this host alone, pinned: {detail}")

    def _pin(self, version: str | None) -> None:
        with suppress(OSError):  # a disk that is full: what is pinned stays so, and the page says it
            self._cache.pin(version)
        self._reloader.look_soon()

    def _restriction(self) -> str | None:
        """Why the store must not point at it, and what lifts that; None if it may."""
        if self._reloader.is_local:
            return None
        promote = f"python -m runtime models promote {self._version}"
        if self._cache.is_signed:
            sign = f"python -m runtime models sign {self._version}"
            return f"this host has signed it; for others, where the private key is: {sign}, then {promote}"
        name, names = self._bundle.manifest.name, self._reloader.names
        if names is not None and name not in names:
            return f"DANDELION_MODEL_NAMES does not list {name}; for others, where that does: {promote}"
        return None

    def _not_taken(self, refusal: Refusal) -> str:
        if self._reloader.is_local:
            return f"its store on this host did not take it ({refusal})"
        path = quote(str(self._bundle.path))
        later = f"python -m runtime models publish {path}"
        if self._cache.is_signed:
            later = f"python -m runtime models export {path} FILE; where the private key is, publish FILE"
        allowed = f"; {REMEDY}" if isinstance(refusal, Denied) else ""
        return f"the store did not take it ({refusal}{allowed}); later, on this host: {later}"
