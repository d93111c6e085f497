"""A version beside the one that serves, to be compared with it: loaded when it is asked for, let go soon after."""

from __future__ import annotations

import asyncio
import time
from functools import partial

import numpy as np

from runtime.answers import Answer, Timings, milliseconds, predict
from runtime.engine import Engine
from runtime.follower import Follower, UnknownVersion
from runtime.image import decode
from runtime.memory import return_free_memory
from runtime.model import Model
from runtime.settings import Settings

KEPT_S = 60.0  # after the last question: an edge host has no memory for a second model that nobody asks


class Beside:
    """At most one model more, and one question at a time. Its answers count in no metric: they are no service."""

    def __init__(self, engine: Engine, follower: Follower | None, settings: Settings) -> None:
        """Without `follower` there is no version but the one that serves."""
        self._engine = engine
        self._follower = follower
        self._settings = settings
        self._turn = asyncio.Lock()
        self._model: Model | None = None
        self._end: asyncio.TimerHandle | None = None

    async def answer(self, version: str, photo: bytes) -> Answer:
        """Classify one encoded photo by `version`.

        Raises UnknownVersion, StoreError and BundleError where it cannot be had, and what `Engine.work` raises.
        """
        arrived = time.perf_counter()
        async with self._turn:
            model = await self._load(version)
            return await self._engine.work(partial(_answer, model, photo, self._settings.max_pixels, arrived))

    async def _load(self, version: str) -> Model:
        serving = self._engine.model
        if version == serving.name.version:
            return serving
        loop = asyncio.get_running_loop()
        if self._model is None or self._model.name.version != version:
            self._model = None  # before the next is there: never three at once
            self._model = await loop.run_in_executor(None, self._open, version)
        if self._end:
            self._end.cancel()
        self._end = loop.call_later(KEPT_S, self._let_go)
        return self._model

    def _open(self, version: str) -> Model:
        if self._follower is None:
            raise UnknownVersion(f"there is no version {version} here: this appliance serves one bundle")
        source = self._follower.catalogue.store.uri
        return Model(self._follower.bundle(version), threads=1, source=source, abstain=self._settings.abstain)

    def _let_go(self) -> None:
        self._model = None
        return_free_memory()


def _answer(model: Model, photo: bytes, max_pixels: int, arrived: float) -> Answer:
    began = time.perf_counter()
    pixels = decode(photo, model.manifest.input, max_pixels=max_pixels)
    decoded = time.perf_counter()
    inference = model.infer(pixels[np.newaxis], alone=False)
    done = time.perf_counter()
    prediction = predict(inference.probabilities[0], model.manifest.labels, model.threshold)
    return Answer(
        label=prediction.label,
        confidence=prediction.confidence,
        probabilities=prediction.probabilities,
        uncertain=prediction.uncertain,
        model=model.name,
        timings_ms=Timings(*map(milliseconds, (decoded - began, done - decoded, done - arrived))),
    )
