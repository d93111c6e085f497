"""Side-by-side comparison: load a second model version on demand, evict it after a minute without requests."""

from __future__ import annotations

import asyncio
import time
from functools import partial

import numpy as np

from runtime.host.deadline import in_daemon_thread
from runtime.host.memory import return_free_memory
from runtime.image import PhotoLimits, decode_photo
from runtime.inference.predictions import Answer, Timings, answer_from, milliseconds, predict
from runtime.serving.engine import Engine
from runtime.serving.loaded_model import LoadedModel, load_model
from runtime.serving.scheduling.scheduler import ClientName, nobody
from runtime.serving.settings import Settings
from runtime.serving.versions.bundle_source import UnknownVersion
from runtime.serving.versions.reloader import Reloader

IDLE_EVICTION_S = 60.0  # after the last request: an edge host has no memory for a second model that nobody uses


class ComparisonModel:
    """At most one more model in memory, and one request at a time. Its answers are not counted in the metrics."""

    def __init__(self, engine: Engine, reloader: Reloader | None, settings: Settings) -> None:
        """Without `reloader` only the active version can be asked."""
        self._engine = engine
        self._reloader = reloader
        self._settings = settings
        self._lock = asyncio.Lock()
        self._model: LoadedModel | None = None
        self._eviction: asyncio.TimerHandle | None = None

    async def answer(self, version: str, photo: bytes, client: ClientName = nobody) -> Answer:
        """Classify one encoded photo by `version`.

        Raises UnknownVersion, StoreError or BundleError if it cannot be loaded, and what `Engine.work` raises.
        """
        arrived = time.perf_counter()
        serving = self._engine.model
        if version == serving.name.version:  # there is nothing to load, and nobody to wait for
            return await self._answer_by(serving, photo, arrived, client)
        async with self._lock:
            return await self._answer_by(await self._load(version), photo, arrived, client)

    async def _answer_by(self, model: LoadedModel, photo: bytes, arrived: float, client: ClientName) -> Answer:
        job = partial(_answer, model, photo, self._settings.photo_limits, arrived)
        return await self._engine.work(job, await self._engine.cost_of(photo), client)

    async def _load(self, version: str) -> LoadedModel:
        loop = asyncio.get_running_loop()
        if self._model is None or self._model.name.version != version:
            self._model = None  # before the next is loaded: never three models in memory
            self._model = await in_daemon_thread(partial(self._open, version))
        if self._eviction:
            self._eviction.cancel()
        self._eviction = loop.call_later(IDLE_EVICTION_S, self._evict)
        return self._model

    def _open(self, version: str) -> LoadedModel:
        if self._reloader is None:
            raise UnknownVersion(f"there is no version {version} here: this appliance serves one bundle")
        source = self._reloader.catalogue.store.uri
        with self._reloader.cache.using(version):
            bundle = self._reloader.validated(version)
            return load_model(bundle, threads=1, source=source, abstain=self._settings.abstain)

    def _evict(self) -> None:
        self._model = None
        return_free_memory()


def _answer(model: LoadedModel, photo: bytes, limits: PhotoLimits, arrived: float) -> Answer:
    began = time.perf_counter()
    decoded = decode_photo(photo, model.manifest.input, limits=limits)
    decoded_at = time.perf_counter()
    inference = model.infer(decoded.pixels[np.newaxis], alone=False)
    done = time.perf_counter()
    prediction = predict(inference.probabilities[0], model.rule, damaged=decoded.damaged)
    timings = Timings(*map(milliseconds, (decoded_at - began, done - decoded_at, done - arrived)))
    return answer_from(prediction, model.name, timings)
