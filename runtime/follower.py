"""Serving what the store points at: fetch it beside the model that serves, prove it, swap, or keep what there is."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from runtime.bundle import Bundle, BundleError
from runtime.commands import Refusal
from runtime.default import default_bundle
from runtime.metrics import Metrics
from runtime.model import Model
from runtime.models.cache import Cache
from runtime.models.catalogue import Catalogue, Pointer
from runtime.store import Missing, StoreError

LONGEST_PATIENCE_S = 3600  # between two tries of a version that was refused
NOTHING_YET = "no model is published yet"

log = logging.getLogger(__name__)

Load = Callable[[Bundle, str], Model]


class UnknownVersion(Refusal):
    """There is no such version, here or in the store."""


class Status(NamedTuple):
    """What is known of the store: whether the last look reached it, and what it pointed at."""

    reachable: bool
    detail: str
    latest: str | None


class _Refused(NamedTuple):
    reason: str
    again_at: float
    times: int


class Follower:
    """Keeps the engine serving the version that the store points at, or the one that this host is pinned to.

    Whatever goes wrong, the model that serves goes on serving. Safe to use from several threads.
    """

    def __init__(self, catalogue: Catalogue, cache: Cache, load: Load, metrics: Metrics, *, poll_s: float) -> None:
        """`load` makes a warm and proven model of a verified bundle; it raises BundleError."""
        self.catalogue = catalogue
        self.cache = cache
        self._load = load
        self._metrics = metrics
        self._poll_s = poll_s
        self._swap: Callable[[Model], None] = lambda _: None
        self._serving: str | None = None
        self._refused: dict[Pointer, _Refused] = {}
        self._status = Status(reachable=False, detail="the store has not been asked yet", latest=None)
        self._turn = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follow-models", daemon=True)

    @property
    def status(self) -> Status:
        """What the last look at the store found."""
        return self._status

    @property
    def refused(self) -> dict[str, str]:
        """Versions that were refused, and why."""
        return {pointer.version: refused.reason for pointer, refused in self._refused.items()}

    def first(self) -> Model:
        """The model to begin with: what served well here before, else what the store points at, else the default."""
        state = self.cache.state
        for version in dict.fromkeys(filter(None, (state.pinned, state.last_good))):
            try:
                return self._begin(self._load(self.cache.open(version), f"the cache ({self.catalogue.store.uri})"))
            except BundleError as error:
                log.warning("%s", error)
        model = self._newest()
        if model is None:
            self._say_default()
            model = self._load(Bundle.open(default_bundle()), "the default bundle")
        else:
            self._remember(model)
        return self._begin(model)

    def start(self, swap: Callable[[Model], None]) -> None:
        """Follow the store from now on; `swap` puts a new model in its place."""
        self._swap = swap
        self._thread.start()

    def stop(self) -> None:
        """Stop following; a model that is being fetched is left."""
        self._stopped.set()

    def look(self) -> None:
        """Look at the store once, and serve what it points at. Never raises for what others did wrong."""
        with self._turn:
            if self.cache.state.pinned:
                self._ask_store()
                return
            model = self._newest()
            if model:
                self._serve(model)

    def load(self, version: str) -> None:
        """Serve `version` now, until the store points at another. Raises UnknownVersion, StoreError, BundleError."""
        with self._turn:
            self._serve(self._load(self._bundle(version), self.catalogue.store.uri))

    def bundle(self, version: str) -> Bundle:
        """The bundle of `version`, fetched where it is not here yet; nothing else changes. Raises as `load` does."""
        with self._turn:
            return self._bundle(version)

    def pin(self, version: str | None) -> None:
        """Serve `version` and follow nothing, or with None follow the store again. Raises as `load` does."""
        with self._turn:
            self._pin(version)

    def roll_back(self) -> None:
        """Serve the version before this one and pin it: else the next look would undo it. Raises as `load` does."""
        with self._turn:
            previous = self.cache.state.previous
            if previous is None:
                raise UnknownVersion("no version served before this one; load one by its name")
            self._pin(previous)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self.look()
            except Exception:  # a fault of ours must not end the following
                log.exception("looking for a new model failed")
            self._stopped.wait(self._poll_s)

    def _newest(self) -> Model | None:
        """The version that the store points at, loaded; None where it serves already, or cannot be had."""
        pointer = self._ask_store()
        if pointer is None or pointer.version == self._serving or not self._due(pointer):
            return None
        try:
            bundle = self.cache.pull(self.catalogue, pointer.version, manifest_sha256=pointer.manifest_sha256)
            model = self._load(bundle, self.catalogue.store.uri)
        except (BundleError, Missing) as error:
            self._refuse(pointer, error)
            return None
        except StoreError as error:
            self._unreachable(error)
            return None
        except OSError as error:
            self._refuse(pointer, _unkept(error))
            return None
        self._refused.pop(pointer, None)
        return model

    def _ask_store(self) -> Pointer | None:
        try:
            pointer = self.catalogue.latest()
        except BundleError as error:
            self._status = Status(reachable=True, detail=str(error), latest=None)
            log.warning("%s", error)
            self._metrics.reloads.labels("refused").inc()
            return None
        except StoreError as error:
            self._unreachable(error)
            return None
        if not self._status.reachable:
            log.info("following %s", self.catalogue.store.uri)
        version = pointer.version if pointer else None
        self._status = Status(reachable=True, detail="" if version else NOTHING_YET, latest=version)
        return pointer

    def _bundle(self, version: str) -> Bundle:
        try:
            return self.cache.pull(self.catalogue, version)
        except Missing as error:
            if version not in self.cache.versions():
                where = self.catalogue.store.uri
                raise UnknownVersion(f"there is no version {version} in {where} or on this host") from error
        except StoreError:
            if version not in self.cache.versions():
                raise
        return self.cache.open(version)

    def _pin(self, version: str | None) -> None:
        if version is not None and version != self._serving:
            self._serve(self._load(self._bundle(version), self.catalogue.store.uri))
        self.cache.pin(version)

    def _begin(self, model: Model) -> Model:
        self._serving = model.name.version
        return model

    def _serve(self, model: Model) -> None:
        self._swap(self._begin(model))
        self._remember(model)
        self.cache.prune(except_for=[model.name.version])
        self._metrics.reloads.labels("loaded").inc()
        log.info("now serving %s from %s", model.name.version, model.source)

    def _remember(self, model: Model) -> None:
        try:
            self.cache.served(model.name.version)
        except OSError as error:  # it serves all the same; only a start without the store would not find it
            log.warning("%s", _unkept(error))

    def _due(self, pointer: Pointer) -> bool:
        return pointer not in self._refused or time.monotonic() >= self._refused[pointer].again_at

    def _refuse(self, pointer: Pointer, error: Exception) -> None:
        times = self._refused[pointer].times + 1 if pointer in self._refused else 0
        patience_s = min(LONGEST_PATIENCE_S, self._poll_s * 2 ** min(times, 20))
        self._refused[pointer] = _Refused(str(error), time.monotonic() + patience_s, times)
        level = logging.DEBUG if times else logging.WARNING  # one line is enough, however often it is tried again
        log.log(
            level, "refused %s, %s goes on serving: %s", pointer.version, self._serving or "the default bundle", error
        )
        self._metrics.reloads.labels("refused").inc()

    def _unreachable(self, error: Exception) -> None:
        if self._status.reachable or not self._status.detail.startswith("the store cannot"):
            log.warning("%s", error)
        self._status = Status(reachable=False, detail=f"the store cannot be reached: {error}", latest=None)
        self._metrics.reloads.labels("unreachable").inc()

    def _say_default(self) -> None:
        uri = self.catalogue.store.uri
        if self._status.detail == NOTHING_YET:
            log.info("serving the default bundle until %s has a model: %s", uri, NOTHING_YET)
        else:  # the reason has been said
            log.warning("serving the default bundle until a model can be had from %s", uri)


def _unkept(error: OSError) -> Exception:
    """This host's disk is full, or cannot be written to."""
    return OSError(
        f"{error.filename or 'the cache'}: {error.strerror}; make room for DANDELION_CACHE, or make it writable"
    )
