"""The way of a photo: encoded bytes, pixels, probabilities, answer. All of it off the event loop, in a bounded pool."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from runtime.admission import Line
from runtime.answers import Answer, ModelName, Prediction, Timings, milliseconds, predict
from runtime.bundle import Manifest
from runtime.image import ImageError, ImageSpec, decode, warm_up
from runtime.metrics import Metrics
from runtime.model import Model
from runtime.session import Inference
from runtime.settings import Settings

NICENESS = 2
BATCH = 16  # photos inferred at once: more would hold more memory and gain nothing

T = TypeVar("T")
Gone = Callable[[], Awaitable[None]]


class ClientGone(Exception):
    """The client went away before a worker was free; nothing was computed."""


class Explained(NamedTuple):
    """An answer, the model that gave it, and its class-activation maps [C, h, w], in logits."""

    model: Model
    answer: Answer
    activation_map: NDArray[np.float32]


class Batch(NamedTuple):
    """What one model says of several photos, and the seconds that its stages took."""

    model: ModelName
    answers: list[Prediction | ImageError]
    decode_s: float
    infer_s: float


class _Seen(NamedTuple):
    """What one worker made of one photo, and the moments (s) when it began, had decoded and had done."""

    model: Model
    inference: Inference
    brightness: float
    began: float
    decoded: float
    done: float


class Engine:
    """The model that serves, the workers, and the line before them."""

    def __init__(self, model: Model, settings: Settings, metrics: Metrics) -> None:
        """Serve `model`; everything that happens only once happens now, not to the first client."""
        self._model = model
        self._metrics = metrics
        self._max_pixels = settings.max_pixels
        self.line = Line(settings.workers, budget_s=settings.budget_s, max_held_bytes=settings.max_held_bytes)
        self._workers = ThreadPoolExecutor(settings.workers, thread_name_prefix="classify", initializer=step_back)
        warm_up()
        metrics.serve(model)

    @property
    def model(self) -> Model:
        """The model that serves now."""
        return self._model

    @property
    def manifest(self) -> Manifest:
        """Its manifest."""
        return self._model.manifest

    def swap(self, model: Model) -> None:
        """Serve `model` from the next photo on; those under way are finished by the one that began them."""
        self._model = model
        self._metrics.serve(model)

    async def answer(self, data: bytes, gone: Gone | None = None) -> Answer:
        """Classify one encoded photo.

        Raises ImageError, Overloaded, and ClientGone where the awaitable `gone` ended before a worker was free.
        """
        return (await self.explain(data, gone)).answer

    async def explain(self, data: bytes, gone: Gone | None = None) -> Explained:
        """Classify one encoded photo and say where in it the evidence lies; raises as `answer` does."""
        arrived = time.perf_counter()
        with self.line.place():
            seen = await self._in_worker(partial(self._see, data), gone)
        answer = self._answer(seen, arrived)
        return Explained(seen.model, answer, seen.inference.activation_map[0])

    async def answer_many(self, photos: Sequence[bytes]) -> Batch:
        """Classify several photos as one batch: each gets its own answer or its own error. Raises Overloaded."""
        model = self._model  # one request, one model
        answers: list[Prediction | ImageError] = []
        decode_s = infer_s = 0.0
        with self.line.place(len(photos)):
            for start in range(0, len(photos), BATCH):
                part = await self._answer_batch(model, photos[start : start + BATCH])
                answers += part.answers
                decode_s += part.decode_s
                infer_s += part.infer_s
        return Batch(model.name, answers, decode_s, infer_s)

    async def decode_many(self, photos: Sequence[bytes], model: Model) -> list[NDArray[np.uint8] | ImageError]:
        """Decode photos for `model`: pixels [height, width, 3] or an error for each. Raises Overloaded."""
        with self.line.place(len(photos)):
            return await self._decode_all(model, photos)

    async def infer(self, pixels: NDArray[np.uint8], model: Model) -> Inference:
        """Classify `pixels` [N, height, width, 3] that were decoded for `model`, by it. Raises Overloaded."""
        arrived = time.perf_counter()
        with self.line.place(len(pixels)):
            batches = (pixels[start : start + BATCH] for start in range(0, len(pixels), BATCH))
            parts = [await self._in_worker(partial(self._infer, model, batch)) for batch in batches]
        inference = Inference(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
        self._predictions(model, list(pixels), inference, time.perf_counter() - arrived)
        return inference

    async def work(self, job: Callable[[], T]) -> T:
        """Run some other work on a photo in the pool. Raises Overloaded."""
        with self.line.place():
            return await self._in_worker(job)

    def close(self) -> None:
        """Finish what is under way and release the threads."""
        self._workers.shutdown(wait=True)

    def _see(self, data: bytes) -> _Seen:
        model = self._model
        with self.line.working():
            began = time.perf_counter()
            pixels = decode(data, model.manifest.input, max_pixels=self._max_pixels)
            decoded = time.perf_counter()
            inference = model.infer(pixels[np.newaxis], alone=self.line.alone)
            return _Seen(model, inference, brightness_of(pixels), began, decoded, time.perf_counter())

    def _infer(self, model: Model, pixels: NDArray[np.uint8]) -> Inference:
        with self.line.working(len(pixels)):
            return model.infer(pixels, alone=self.line.alone)

    async def _answer_batch(self, model: Model, photos: Sequence[bytes]) -> Batch:
        arrived = time.perf_counter()
        decoded = await self._decode_all(model, photos)
        done = time.perf_counter()
        pictures = [pixels for pixels in decoded if not isinstance(pixels, ImageError)]
        predictions: Iterator[Prediction] = iter(())
        if pictures:
            inference = await self._in_worker(partial(self._infer, model, np.stack(pictures)))
            predictions = iter(self._predictions(model, pictures, inference, time.perf_counter() - arrived))
        answers = [pixels if isinstance(pixels, ImageError) else next(predictions) for pixels in decoded]
        return Batch(model.name, answers, done - arrived, time.perf_counter() - done)

    def _predictions(
        self, model: Model, pictures: Sequence[NDArray[np.uint8]], inference: Inference, total_s: float
    ) -> list[Prediction]:
        """Predict and count each photo of a batch that took `total_s`."""
        predictions = [predict(row, model.manifest.labels, model.threshold) for row in inference.probabilities]
        for picture, prediction in zip(pictures, predictions, strict=True):
            self._metrics.count(prediction, brightness_of(picture), {"total": total_s})
        return predictions

    async def _decode_all(self, model: Model, photos: Sequence[bytes]) -> list[NDArray[np.uint8] | ImageError]:
        jobs = (partial(self._decode, model.manifest.input, photo) for photo in photos)
        return await asyncio.gather(*(self._in_worker(job) for job in jobs))

    def _decode(self, spec: ImageSpec, data: bytes) -> NDArray[np.uint8] | ImageError:
        try:
            return decode(data, spec, max_pixels=self._max_pixels)
        except ImageError as error:
            return error

    async def _in_worker(self, job: Callable[[], T], gone: Gone | None = None) -> T:
        """Run `job` in the pool; a job that still waits when `gone` ends is dropped."""
        future = asyncio.get_running_loop().run_in_executor(self._workers, job)
        if gone is None or not self.line.waiting:
            return await future
        watch = asyncio.ensure_future(gone())
        either: set[asyncio.Future[Any]] = {future, watch}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not future.done() and future.cancel():
                raise ClientGone
            return await future
        finally:
            watch.cancel()

    def _answer(self, seen: _Seen, arrived: float) -> Answer:
        model = seen.model
        prediction = predict(seen.inference.probabilities[0], model.manifest.labels, model.threshold)
        now = time.perf_counter()
        stages = {
            "queue": seen.began - arrived,
            "decode": seen.decoded - seen.began,
            "infer": seen.done - seen.decoded,
            "total": now - arrived,
        }
        self._metrics.count(prediction, seen.brightness, stages)
        return Answer(
            label=prediction.label,
            confidence=prediction.confidence,
            probabilities=prediction.probabilities,
            uncertain=prediction.uncertain,
            model=model.name,
            timings_ms=Timings(*(milliseconds(stages[stage]) for stage in ("decode", "infer", "total"))),
        )


def step_back() -> None:
    """Let the event loop go first where cores are short: a refusal must not wait for other people's photos.

    On Linux each thread has a niceness of its own; elsewhere it is the process's, which is left alone.
    """
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)


def brightness_of(pixels: NDArray[np.uint8]) -> float:
    """The mean of a photo [H, W, 3], 0..1, from one pixel in 64."""
    return float(pixels[::8, ::8].mean()) / 255
