"""Everything that serves, put together: the engine, what follows the models, what keeps the corrected photos."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version

from runtime.bundle import Bundle
from runtime.default import default_bundle
from runtime.engine import Engine
from runtime.feedback import Feedback
from runtime.follower import Follower
from runtime.memory import Tidying
from runtime.metrics import Metrics
from runtime.model import Model
from runtime.models.cache import Cache
from runtime.models.catalogue import Catalogue
from runtime.models.signature import public_key
from runtime.settings import Settings
from runtime.store import open_store


@dataclass
class Appliance:
    """One serving process. `follower` and `feedback` are None where the settings name no store for them."""

    settings: Settings
    metrics: Metrics
    engine: Engine
    follower: Follower | None
    feedback: Feedback | None
    began: float = field(default_factory=time.monotonic)
    stopping: bool = False
    tidying: Tidying = field(default_factory=Tidying)
    release: str = field(default_factory=partial(version, "dandelion"))

    def start(self) -> None:
        """Begin to follow the models, to send what is spooled and to keep memory tidy."""
        self.tidying.start()
        if self.follower:
            self.follower.start(self.engine.swap)
        if self.feedback:
            self.feedback.start()

    def stop(self) -> None:
        """Stop all that, and finish the photos under way."""
        self.stopping = True
        self.tidying.stop()
        if self.follower:
            self.follower.stop()
        if self.feedback:
            self.feedback.stop()
        self.engine.close()

    def troubles(self) -> list[str]:
        """What an operator should know, a sentence each; empty where all is well."""
        found = []
        if self.follower and not self.follower.status.reachable:
            found.append(f"the models are not followed: {self.follower.status.detail}")
        if self.follower and self.follower.refused:
            found += [f"{version} was refused: {reason}" for version, reason in self.follower.refused.items()]
        kernel = self.engine.model.kernel
        if kernel.kernel in {"exact", "fp32"}:
            found.append(f"this CPU computes the fast INT8 kernel wrongly; {kernel.kernel} serves, more slowly")
        if self.feedback and self.feedback.spooled:
            found.append(f"{self.feedback.spooled} corrected photos wait for their store")
        return found


def assemble(settings: Settings) -> Appliance:
    """Load the model that the settings name and put everything around it.

    Raises BundleError where no model can be served, and Refusal for a key or a store's name that cannot be read.
    """
    metrics = Metrics()
    follower = _follower(settings, metrics)
    model = follower.first() if follower else _load(settings, *_only_bundle(settings))
    feedback = None
    if settings.data:
        spool = settings.cache / "spool"
        feedback = Feedback(open_store(settings.data), spool, metrics, retry_s=settings.poll_s)
    return Appliance(settings, metrics, Engine(model, settings, metrics), follower, feedback)


def _follower(settings: Settings, metrics: Metrics) -> Follower | None:
    if settings.bundle or not settings.models:
        return None
    catalogue = Catalogue(open_store(settings.models))
    return Follower(catalogue, _cache(settings), partial(_load, settings), metrics, poll_s=settings.poll_s)


def _only_bundle(settings: Settings) -> tuple[Bundle, str]:
    """Where no store is followed: the bundle that is named, else the one imported and pinned here, else the default."""
    if settings.bundle:
        return Bundle.open(settings.bundle), str(settings.bundle)
    cache = _cache(settings)
    pinned = cache.state.pinned
    if pinned:
        return cache.open(pinned), f"imported to {settings.cache}"
    return Bundle.open(default_bundle()), "the default bundle"


def _cache(settings: Settings) -> Cache:
    return Cache(settings.cache, public_key(settings.public_key) if settings.public_key else None)


def _load(settings: Settings, bundle: Bundle, source: str) -> Model:
    return Model(bundle, threads=settings.threads, source=source, abstain=settings.abstain)
