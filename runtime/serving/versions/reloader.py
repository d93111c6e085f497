"""Model hot reload: poll the model registry, fetch and validate a new version, swap it in; on failure keep the old.

A new version is validated in a child process first. Refused versions are retried with exponential backoff.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import Bundle, BundleError
from runtime.registry.cache import Cache
from runtime.registry.catalogue import POINTER, Catalogue
from runtime.registry.pointer import Pointer
from runtime.registry.publish import publish
from runtime.registry.summary import Summaries, Summary
from runtime.serving.loaded_model import LoadedModel
from runtime.serving.monitoring.metrics import Metrics
from runtime.serving.trial.process import TrialStopped
from runtime.serving.trial.runner import TrialRunner
from runtime.serving.versions.bundle_source import BundleSource, UnknownVersion
from runtime.serving.versions.disk import disk_error, on_disk
from runtime.serving.versions.refused_versions import RefusedVersions, Target, target_of
from runtime.serving.versions.store_deadline import PollTiming, StoreDeadline
from runtime.serving.versions.store_status import NOTHING_YET, PointerRead, StatusLog, StoreStatus
from runtime.store import Missing, StoreError

REFRESH_AFTER_S = 2.0  # throttle: a request for the list of versions starts another poll after this time

log = logging.getLogger(__name__)

Load = Callable[[Bundle, str, str | None], LoadedModel]


class Reloader:
    """Keeps the engine serving the version that the store points at, or the one that this host is pinned to.

    Whatever goes wrong, the active model keeps serving. Thread-safe: a lock is held only while a validated version is
    loaded, never while the store is polled or a version is validated.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        cache: Cache,
        trials: TrialRunner,
        load: Load,
        metrics: Metrics,
        *,
        timing: PollTiming,
        names: Collection[str] | None = None,
        local: bool = False,
    ) -> None:
        """`load` loads and warms up a validated bundle with the kernel that passed; it raises BundleError.

        `names` are the names of models that may serve. None is the name of the active model if models must be signed,
        and any name if not. With `local` the store is a folder of this host alone, in which an administrator decides
        what serves: any name may, and its pointer needs no signature.
        """
        self.catalogue = catalogue
        self.cache = cache
        self._trials = trials
        self._load = load
        self._metrics = metrics
        self._timing = timing
        self.names = names
        self.is_local = local
        self._summaries = Summaries(catalogue)
        self._bundles = BundleSource(catalogue, cache, self._summaries, names=names, local=local)
        self._swap: Callable[[LoadedModel], None] = lambda _: None
        self._serving: LoadedModel | None = None
        self._operator_changes = 0  # counts them: a poll that began before one must not undo it
        self._refused = RefusedVersions(timing.poll_s, metrics)
        self._status = StatusLog(catalogue.store.uri, metrics, local=local)
        self._last_poll = 0.0
        self._swap_lock = threading.Lock()
        self._wake = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="model-reloader", daemon=True)

    @property
    def status(self) -> StoreStatus:
        """The result of the last poll."""
        return self._status.current

    @property
    def validating(self) -> str | None:
        """The version that is being validated now."""
        return self._trials.validating

    @property
    def refused(self) -> dict[str, str]:
        """Refused versions, each with its reason."""
        return self._refused.reasons

    def known_versions(self) -> dict[str, Summary]:
        """The versions in the store at the last poll; starts another poll soon, and waits for nothing."""
        if time.monotonic() - self._last_poll > REFRESH_AFTER_S:
            self._wake.set()
        return self._summaries.known

    def initial_model(self) -> LoadedModel:
        """The model of a cold start: the pinned or last good version of the cache, else the store's, else the default.

        What cannot serve is set aside, and the log says so; then an earlier one of the cache comes before the default.
        """
        state = self.cache.state
        first = [state.pinned, None if self.is_local else state.last_good]
        model = self._first_kept(*first) or self._model_of_store()
        if model is None:
            if state.pinned or not self._status.is_empty:
                model = self._first_kept(*(kept for kept in (state.last_good, state.previous) if kept not in first))
            if not state.pinned:
                self._status.log_instead(model.name.version if model else None)
        if model is None:
            model = self._set_serving(self._load(Bundle.open(default_bundle()), "the default bundle", None))
        if state.pinned and state.pinned != model.name.version:
            instead = f"{state.pinned} is pinned and cannot serve, {model.name.version} serves in its place"
            log.warning("%s: %s", instead, self.refused[state.pinned])
        return model

    def start(self, swap: Callable[[LoadedModel], None]) -> None:
        """Start polling the store; `swap` replaces the active model."""
        self._swap = swap
        self._thread.start()

    def stop(self) -> None:
        """Stop polling: end a running validation, abandon a download. Thread-safe."""
        self._stopped = True
        self._trials.stop()
        self._wake.set()

    def poll(self) -> None:
        """Poll the store once, and serve the version that it points at. A bad store or bundle does not raise."""
        changes = self._operator_changes
        deadline = self.deadline()
        self._follow_pin(changes, deadline)
        try:
            asked = self._read_pointer(deadline)
            if asked.pointer and not self.cache.state.pinned:
                self._follow(asked.pointer, changes, deadline)
            deadline.call(self._summaries.refresh)
        except StoreError as error:
            self._status.unreachable(error)
        else:  # not before: an incomplete poll does not clear an error
            self._status.reached(asked, time.time())
            self._metrics.last_look.set_to_current_time()

    def load(self, version: str) -> None:
        """Serve `version` now, until the store points at another; a local store is made to point at it.

        Raises UnknownVersion, StoreError, BundleError, DiskRefused.
        """
        self._apply_change(version)

    def pin(self, version: str | None) -> None:
        """Serve `version` and stop following the store; None follows it again. Raises as `load` does."""
        if version is None:
            with on_disk():
                self.cache.pin(None)
            self._wake.set()
        else:
            self._apply_change(version, pin=True)

    def roll_back(self) -> None:
        """Roll back to the previous version and pin it: else the next poll would undo it. Raises as `load` does."""
        previous = self.cache.state.previous
        if previous is None:
            raise UnknownVersion("no version served before this one; load one by its name")
        self._apply_change(previous, pin=True)

    def validated(self, version: str) -> Bundle:
        """The bundle of `version`, fetched and validated if needed; the active model stays. Raises as `load` does."""
        with self.cache.using(version):
            bundle = self._bundles.of(version, self.deadline())
            self._trials.validate(bundle)
            return bundle

    def deadline(self, seconds: float | None = None) -> StoreDeadline:
        """What the store may take: `seconds`, or as long as one look at it."""
        return StoreDeadline(self.catalogue.store.uri, self._timing.look_s if seconds is None else seconds)

    def try_for_operator(self, bundle: Bundle) -> None:
        """Validate a bundle of the cache at once, though it was refused before. Raises BundleError."""
        target = target_of(bundle)
        self._trials.forgive(bundle.manifest.version)
        with self._refused.noting(target), self._trials.child_for(*target, at_once=True) as child:
            self._trials.validate(bundle, child)
        self._refused.forgive(bundle.manifest.version)

    @contextmanager
    def changing(self, version: str) -> Iterator[None]:
        """Protect `version` in the cache during the block; a poll that is running changes the model no more."""
        self._operator_changes += 1
        with self.cache.using(version):
            yield

    def switch(self, bundle: Bundle, *, pin: bool) -> None:
        """Serve a validated bundle; with `pin`, whatever the store points at. Raises as `load` does."""
        version = bundle.manifest.version
        with self._swap_lock:
            self._operator_changes += 1
            with self._refused.noting(target_of(bundle)):
                model = None if self._is_serving(version) else self._load_version(bundle, self.catalogue.store.uri)
            if pin:
                with on_disk():  # before it serves: a full disk changes nothing
                    self.cache.pin(version)
            elif self.is_local:  # not before it is loaded: what cannot be loaded is not pointed at
                publish(bundle.path, self.catalogue.store, tag=self.catalogue.tag())
            if model:
                self._serve(model)

    def look_soon(self) -> None:
        """Poll again without waiting for the next turn."""
        self._wake.set()

    def _run(self) -> None:
        while not self._stopped:
            self._wake.clear()
            try:
                self.poll()
            except Exception:  # a bug must not end the polling
                log.exception("hot reload failed: polling the model store raised an error")
            self._last_poll = time.monotonic()
            self._wake.wait(self._timing.poll_s)

    def _first_kept(self, *versions: str | None) -> LoadedModel | None:
        """The first of the versions that this host can serve."""
        pinned = self.cache.state.pinned
        for version in (each for each in dict.fromkeys(versions) if each and each not in self.refused):
            bundle = None
            try:
                bundle = self._bundles.kept(version, self.deadline() if version == pinned else None)
                self._trials.validate(bundle)
                return self._set_serving(self._load_version(bundle, f"the cache ({self.catalogue.store.uri})"))
            except BundleError as error:
                if version == pinned:
                    self._refused.note((version, ""), error)
                elif bundle:
                    self._refuse(target_of(bundle), error)
                else:  # damaged: the store may have it whole
                    log.warning("%s", error)
        return None

    def _model_of_store(self) -> LoadedModel | None:
        newest = self._fetch_initial()
        if newest and (model := self._load_or_refuse(newest, self.catalogue.store.uri)):
            self._remember(self._set_serving(model))
        return self._serving

    def _fetch_initial(self) -> Bundle | None:
        deadline = self.deadline()
        try:
            asked = self._read_pointer(deadline)
            newest = self._fetch_validated(asked.pointer, deadline) if asked.pointer else None
        except StoreError as error:
            self._status.unreachable(error)
            return None
        self._status.reached(asked, None)
        return newest

    def _read_pointer(self, deadline: StoreDeadline) -> PointerRead:
        """Raises StoreError; an invalid pointer counts as none, with a warning."""
        try:
            pointer = deadline.call(self.catalogue.latest)
            if pointer and not self.is_local:
                self.cache.accept(pointer, origin=f"{self.catalogue.store.uri}/{POINTER}")
        except BundleError as error:
            self._metrics.reloads.labels("refused").inc()
            return PointerRead(None, str(error))
        asked = PointerRead(pointer, "" if pointer else NOTHING_YET)
        self._status.pointer_read(asked)
        return asked

    def _follow_pin(self, changes: int, deadline: StoreDeadline) -> None:
        """Serve what another process, such as a command, has pinned on this host."""
        version = self.cache.state.pinned
        target = (version or "", "")
        if version is None or self._is_serving(version) or not self._refused.is_due(target):
            return
        try:
            bundle = self._bundles.kept(version, deadline)
            self._trials.validate(bundle)
        except TrialStopped as reason:
            log.info("%s: %s", version, reason)
        except BundleError as error:
            self._refuse(target, error)
        else:
            self._serve_newest(bundle, changes, pinned=version)

    def _follow(self, pointer: Pointer, changes: int, deadline: StoreDeadline) -> None:
        with self.cache.using(pointer.version):
            bundle = self._fetch_validated(pointer, deadline)
            if bundle:
                self._serve_newest(bundle, changes)

    def _fetch_validated(self, pointer: Pointer, deadline: StoreDeadline) -> Bundle | None:
        """The version that the store points at, validated; None if it is active already, or refused.

        Raises StoreError if the store is unreachable.
        """
        if self._is_serving(pointer.version) or not self._refused.is_due(pointer.target):
            return None
        try:
            with self._trials.child_for(*pointer.target) as child:
                bundle = self._bundles.pointed_at(
                    pointer, deadline, serving=self._serving.manifest if self._serving else None
                )
                self._trials.validate(bundle, child)
        except TrialStopped as reason:
            log.info("%s: %s", pointer.version, reason)
        except (BundleError, Missing) as error:
            self._refuse(pointer.target, error)
        except OSError as error:
            self._refuse(pointer.target, disk_error(error))
        else:
            return bundle
        return None

    def _apply_change(self, version: str, *, pin: bool = False) -> None:
        """Change the active version for an operator: this overrides the store, and retries a refused version."""
        with self.changing(version):
            bundle = self._bundles.of(version, self.deadline())
            self.try_for_operator(bundle)
            self.switch(bundle, pin=pin)

    def _is_serving(self, version: str) -> bool:
        return self._serving is not None and self._serving.name.version == version

    def _load_version(self, bundle: Bundle, source: str) -> LoadedModel:
        with self._trials.loading(bundle.manifest.version):
            return self._load(bundle, source, self._trials.kernel_of(bundle))

    def _load_or_refuse(self, bundle: Bundle, source: str, target: Target | None = None) -> LoadedModel | None:
        """The validated bundle, loaded. None if it cannot be: then it is refused, as `target` if that is given."""
        try:
            return self._load_version(bundle, source)
        except BundleError as error:
            self._refuse(target or target_of(bundle), error)
        return None

    def _set_serving(self, model: LoadedModel) -> LoadedModel:
        self._serving = model
        self._refused.forgive(model.name.version)
        return model

    def _serve_newest(self, bundle: Bundle, changes: int, *, pinned: str | None = None) -> None:
        """Serve the bundle, unless an operator has changed the version meanwhile, or what is pinned."""
        target = (pinned, "") if pinned else None
        with self._swap_lock:
            unchanged = changes == self._operator_changes and self.cache.state.pinned == pinned
            if unchanged and (model := self._load_or_refuse(bundle, self.catalogue.store.uri, target)):
                self._serve(model)

    def _serve(self, model: LoadedModel) -> None:
        if self._serving:  # the shipped one is not remembered when it is loaded; one can go back to it, too
            self._remember(self._serving)
        self._swap(self._set_serving(model))
        self._remember(model)
        self.cache.prune(except_for=[model.name.version])
        self._metrics.reloads.labels("loaded").inc()
        log.info("hot reload: now serving %s from %s", model.name.version, model.source)

    def _remember(self, model: LoadedModel) -> None:
        try:
            self.cache.served(model.name.version)
        except OSError as error:  # it serves anyway; only a cold start without the store would miss it
            log.warning("%s", disk_error(error))

    def _refuse(self, target: Target, error: Exception) -> None:
        self._refused.refuse(target, error, serving=self._serving.name.version if self._serving else None)
