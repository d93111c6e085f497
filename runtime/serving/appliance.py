"""Composition root: build the engine, the model reloader and the feedback store from the settings."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version

from runtime.bundle.manifest import Bundle
from runtime.host.cores import inference_cores
from runtime.host.memory import HeapTrimmer
from runtime.image import accepted_megapixels
from runtime.registry.cache import Cache
from runtime.registry.catalogue import Catalogue
from runtime.registry.signature import public_key
from runtime.serving.engine import Engine
from runtime.serving.examples import Examples
from runtime.serving.feedback import Feedback, Limits
from runtime.serving.loaded_model import LoadedModel, load_model
from runtime.serving.monitoring.metrics import Metrics
from runtime.serving.settings import Settings
from runtime.serving.taught.publisher import Publisher
from runtime.serving.taught.uploads import TaughtPhotos
from runtime.serving.trial.runner import TrialRunner
from runtime.serving.versions.disk import is_writable
from runtime.serving.versions.reloader import Reloader
from runtime.serving.versions.store_deadline import PollTiming
from runtime.store import open_store
from runtime.store.folder import FolderStore

TAUGHT_PHOTOS = "taught"  # in the cache: which photos are to be sent to the data store
LOCAL_STORE = "store"  # in the cache: versions that were taught here, if no store is configured

log = logging.getLogger(__name__)


@dataclass
class Appliance:
    """One serving process. `feedback`, `examples` and `taught_photos` are None if the settings name no store for them.

    `reloader` is None if they name the one bundle that serves; without a store it follows a folder of this host.
    """

    settings: Settings
    metrics: Metrics
    engine: Engine
    reloader: Reloader | None
    feedback: Feedback | None
    examples: Examples | None = None
    publisher: Publisher = field(default_factory=partial(Publisher, None))
    taught_photos: TaughtPhotos | None = None
    began: float = field(default_factory=time.monotonic)
    stopping: bool = False
    draining: bool = False
    tidying: HeapTrimmer = field(default_factory=HeapTrimmer)
    release: str = field(default_factory=partial(version, "dandelion"))

    def start(self) -> None:
        """Start the background threads: model reloader, upload of feedback and of taught photos, heap trimmer."""
        self.tidying.start()
        if self.reloader:
            self.reloader.start(self.engine.swap)
        if self.feedback:
            self.feedback.start()
        if self.taught_photos:
            self.taught_photos.start()

    def stop(self) -> None:
        """Graceful shutdown: stop the threads and finish the photos in progress."""
        self.begin_to_stop()
        self.tidying.stop()
        if self.feedback:
            self.feedback.stop()
        if self.taught_photos:
            self.taught_photos.stop()
        self.engine.close()

    @property
    def ready(self) -> bool:
        """Whether a load balancer should send requests."""
        return not (self.stopping or self.draining)

    def begin_to_stop(self) -> None:
        """Say that it is stopping, and end what nobody should wait for."""
        self.stopping = True
        if self.reloader:
            self.reloader.stop()

    def troubles(self) -> list[str]:
        """What an operator should know, a sentence each; empty where all is well."""
        found = []
        if self.reloader and self.reloader.status.trouble:
            found.append(self.reloader.status.trouble)
        if self.reloader:
            found += [f"{version} was refused: {reason}" for version, reason in self.reloader.refused.items()]
        kernel = self.engine.model.kernel
        if kernel.kernel in {"exact", "fp32"}:
            found.append(f"onnxruntime's fast INT8 kernel saturates on this CPU; the slower {kernel.kernel} one serves")
        if self.feedback and self.feedback.spooled:
            found.append(f"{self.feedback.spooled} corrected photos wait for their store")
        if self.taught_photos:
            found += self.taught_photos.troubles
        return found


def assemble(settings: Settings) -> Appliance:
    """Load the model that the settings name, and build the appliance around it.

    Raises BundleError if no model can be served, and Refusal for a key or a store's name that cannot be read.
    """
    metrics = Metrics()
    reloader = None
    if settings.bundle:
        model = _load(settings, Bundle.open(settings.bundle), str(settings.bundle))
    else:
        reloader = open_reloader(settings, metrics)
        model = reloader.initial_model()
    feedback = examples = taught_photos = None
    if settings.data:
        examples = Examples(open_store(settings.data), settings.photo_limits)
        spool = settings.cache / "spool"
        limits = Limits(settings.feedback_photos, settings.feedback_bytes, settings.feedback_share)
        feedback = Feedback(open_store(settings.data), spool, metrics, retry_s=settings.poll_s, limits=limits)
        orders = settings.cache / TAUGHT_PHOTOS
        taught_photos = TaughtPhotos(open_store(settings.data), orders, retry_s=settings.poll_s)
    _log_limits(settings, model)
    if not is_writable(settings.cache):
        log.warning(
            "%s cannot be written to: no new version, taught model or correction is kept; DANDELION_CACHE can name "
            "a folder that can",
            settings.cache,
        )
    engine, publisher = Engine(model, settings, metrics), Publisher(reloader)
    return Appliance(settings, metrics, engine, reloader, feedback, examples, publisher, taught_photos)


def _log_limits(settings: Settings, model: LoadedModel) -> None:
    log.info("one inference: %s", inference_cores().describe(settings.threads))
    limits = settings.photo_limits
    kinds = accepted_megapixels(limits, model.manifest.input)
    memory = limits.memory_bytes
    log.info(
        "photos: at most %s megapixels; decoding may take %d MiB%s",
        ", ".join(f"{most:g} ({kind})" for kind, most in kinds.items()),
        limits.decoding_bytes >> 20,
        "" if memory is None else f" of the {memory >> 20} MiB that the process may take",
    )
    children = settings.heavy_processes
    log.info("heavy photos and long JSON: %s", f"child processes, at most {children}" if children else "threads")


def open_reloader(settings: Settings, metrics: Metrics) -> Reloader:
    """What follows the store that the settings name, or a folder of this host; nothing is asked of it yet.

    Raises Refusal for a key or a store's name that cannot be read.
    """
    cache = _cache(settings)
    return Reloader(
        Catalogue(open_store(settings.models) if settings.models else FolderStore(settings.cache / LOCAL_STORE)),
        cache,
        _trial_runner(settings, cache),
        partial(_load, settings),
        metrics,
        timing=PollTiming(settings.poll_s, settings.look_s),
        names=settings.model_names,
        local=not settings.models,
    )


def _cache(settings: Settings) -> Cache:
    cache = Cache(settings.cache, public_key(settings.public_key) if settings.public_key else None)
    cache.remove_abandoned()
    return cache


def _trial_runner(settings: Settings, cache: Cache) -> TrialRunner:
    return TrialRunner(cache.state_file, seconds=settings.trial_s, memory_bytes=settings.trial_memory_bytes)


def _load(settings: Settings, bundle: Bundle, source: str, kernel: str | None = None) -> LoadedModel:
    return load_model(bundle, threads=settings.threads, source=source, abstain=settings.abstain, preferred=kernel)
