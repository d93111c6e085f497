"""The way of one photo: encoded bytes, pixels, probabilities, answer."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import msgspec
import numpy as np

from runtime.bundle import Bundle
from runtime.image import decode, warm_up
from runtime.kernels import open_proven
from runtime.session import Inference
from runtime.settings import Settings


class ModelName(msgspec.Struct, frozen=True):
    """Which model answered."""

    name: str
    version: str


class Timings(msgspec.Struct, frozen=True):
    """Milliseconds: decoding and resizing, inference, and all of it with the wait for a free worker."""

    decode: float
    infer: float
    total: float


class Answer(msgspec.Struct, frozen=True):
    """What the appliance says of one photo. `uncertain` means: do not rely on the label, look yourself."""

    label: str
    confidence: float
    probabilities: dict[str, float]
    uncertain: bool
    model: ModelName
    timings_ms: Timings


class Classified(NamedTuple):
    """What the model says of one photo, and the seconds that each stage took."""

    inference: Inference
    decode_s: float
    infer_s: float


class Engine:
    """A loaded bundle and the threads that work for it; decoding and inference stay off the event loop."""

    def __init__(self, bundle: Bundle, settings: Settings) -> None:
        """Load the model; raises BundleError."""
        self.manifest = bundle.manifest
        self.model = ModelName(bundle.manifest.name, bundle.manifest.version)
        self._session = open_proven(bundle, threads=settings.threads).session
        self._max_pixels = settings.max_pixels
        self._workers = ThreadPoolExecutor(settings.workers, thread_name_prefix="classify")
        self._warm_up()

    def _warm_up(self) -> None:
        """What happens only once should not happen to the first client."""
        warm_up()
        spec = self.manifest.input
        self._session.infer(np.zeros((1, spec.height, spec.width, 3), np.uint8))

    async def answer(self, data: bytes) -> Answer:
        """Classify one encoded photo; raises runtime.image.ImageError."""
        began = time.perf_counter()
        done = await asyncio.get_running_loop().run_in_executor(self._workers, self.classify, data)
        return self._answer(done, total_s=time.perf_counter() - began)

    def classify(self, data: bytes) -> Classified:
        """Decode and infer in the calling thread; raises runtime.image.ImageError."""
        began = time.perf_counter()
        pixels = decode(data, self.manifest.input, max_pixels=self._max_pixels)[np.newaxis]
        decoded = time.perf_counter()
        inference = self._session.infer(pixels)
        return Classified(inference, decoded - began, time.perf_counter() - decoded)

    def close(self) -> None:
        """Finish what is under way and release the threads."""
        self._workers.shutdown(wait=True)

    def _answer(self, done: Classified, *, total_s: float) -> Answer:
        probabilities = done.inference.probabilities[0].tolist()
        best = max(range(len(probabilities)), key=probabilities.__getitem__)
        return Answer(
            label=self.manifest.labels[best],
            confidence=round(probabilities[best], 4),
            probabilities={label: round(p, 4) for label, p in zip(self.manifest.labels, probabilities, strict=True)},
            uncertain=probabilities[best] < self.manifest.abstain_threshold,
            model=self.model,
            timings_ms=Timings(_ms(done.decode_s), _ms(done.infer_s), _ms(total_s)),
        )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
