"""The way of a photo: encoded bytes, pixels, probabilities, answer.

All of it off the event loop, in a bounded pool, but for the short photo of a lone client (`Engine.answer_here`).
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from runtime.admission import Line
from runtime.answers import Answer, ModelName, Prediction, Timings, milliseconds, predict
from runtime.batcher import Batcher, Left
from runtime.bundle import Manifest
from runtime.image import ImageError, ImageSpec, decode, decode_brief, warm_up
from runtime.inference import Inference, at_once
from runtime.metrics import Metrics
from runtime.model import Model
from runtime.settings import Settings
from runtime.workers import Workers

NICENESS = 2
SHORT_S = 0.005  # the longest that one photo may usually keep the event loop: a health probe does not feel it
BATCH = 16  # photos of one request inferred at once: more would hold more memory and gain nothing

T = TypeVar("T")


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


class _Decoded(NamedTuple):
    """The pixels of one photo, and the seconds that decoding took."""

    pixels: NDArray[np.uint8]
    seconds: float


class _Seen(NamedTuple):
    """What a worker made of one photo, the seconds of its stages, and the moment (s) when it had done."""

    model: Model
    inference: Inference
    pixels: NDArray[np.uint8]
    decode_s: float
    infer_s: float
    done: float


class Engine:
    """The model that serves, the workers, and the line before them."""

    def __init__(self, model: Model, settings: Settings, metrics: Metrics) -> None:
        """Serve `model`; everything that happens only once happens now, not to the first client."""
        self._model = model
        self._metrics = metrics
        self._max_pixels = settings.max_pixels
        self.line = Line(settings.workers, budget_s=settings.budget_s, max_held_bytes=settings.max_held_bytes)
        self._workers = Workers(settings.workers, name="classify", begin=step_back)
        self._batcher = Batcher(self._workers, self._see, lambda: at_once(self.manifest.input))
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

    async def answer(self, data: bytes, left: Left | None = None) -> Answer:
        """Classify one encoded photo.

        Raises ImageError, Overloaded, and ClientGone where `left` was true before a worker was free.
        """
        return (await self.explain(data, left)).answer

    def answer_here(self, data: bytes) -> Answer | None:
        """Classify one encoded photo in the calling thread, the event loop's; None where others might wait for it.

        To wake a worker, and be woken, takes as long as a third of a small inference (`benchmarks/NOTES.md`). Raises
        ImageError.
        """
        if not self.line.quiet or self.line.service_s > SHORT_S:
            return None
        arrived = time.perf_counter()
        try:
            seen = self._see_here(data)
        except ImageError:
            self.line.took(time.perf_counter() - arrived)  # broken ones can take long, too
            raise
        if seen is None:
            return None
        self.line.took(seen.done - arrived)
        return self._answer(seen, arrived)

    async def explain(self, data: bytes, left: Left | None = None) -> Explained:
        """Classify one encoded photo and say where in it the evidence lies; raises as `answer` does."""
        arrived = time.perf_counter()
        with self.line.place():
            seen = await self._batcher.do(data, left)
        answer = self._answer(seen, arrived)
        return Explained(seen.model, answer, seen.inference.activation_map)

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
            parts = [await self._workers.run(partial(self._infer, model, batch)) for batch in batches]
        inference = Inference(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
        self._predictions(model, pixels, inference, time.perf_counter() - arrived)
        return inference

    async def work(self, job: Callable[[], T]) -> T:
        """Run some other work on a photo in the pool. Raises Overloaded."""
        with self.line.place():
            return await self._workers.run(job)

    def close(self) -> None:
        """Finish what is under way and release the threads."""
        self._workers.close()

    def _see_here(self, photo: bytes) -> _Seen | None:
        model = self._model
        began = time.perf_counter()
        pixels = decode_brief(photo, model.manifest.input, max_pixels=self._max_pixels)
        if pixels is None:
            return None
        decoded = time.perf_counter()
        inference = model.infer(pixels[np.newaxis], alone=True)
        done = time.perf_counter()
        return _Seen(model, inference.of(0), pixels, decoded - began, done - decoded, done)

    def _see(self, photos: Iterator[bytes]) -> list[_Seen | Exception]:
        """Classify the photos that are drawn, by one model and in one inference; the exception of each that fails."""
        model = self._model
        with self.line.working() as take_up:
            decoded: list[_Decoded | Exception] = []
            for photo in photos:
                take_up()
                began = time.perf_counter()
                try:
                    pixels = decode(photo, model.manifest.input, max_pixels=self._max_pixels)
                except ImageError as error:
                    decoded.append(error.with_traceback(None))  # whose frames would keep the photo
                except Exception as error:
                    decoded.append(error)
                else:
                    decoded.append(_Decoded(pixels, time.perf_counter() - began))
            good = [each for each in decoded if isinstance(each, _Decoded)]
            seen = iter(self._infer_decoded(model, good) if good else ())
            return [next(seen) if isinstance(each, _Decoded) else each for each in decoded]

    def _infer_decoded(self, model: Model, photos: Sequence[_Decoded]) -> list[_Seen]:
        pixels = np.stack([photo.pixels for photo in photos])
        began = time.perf_counter()
        inference = model.infer(pixels, alone=self.line.alone)
        done = time.perf_counter()
        return [
            _Seen(model, inference.of(i), photo.pixels, photo.seconds, done - began, done)
            for i, photo in enumerate(photos)
        ]

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
            batch = np.stack(pictures)
            inference = await self._workers.run(partial(self._infer, model, batch))
            predictions = iter(self._predictions(model, batch, inference, time.perf_counter() - arrived))
        answers = [pixels if isinstance(pixels, ImageError) else next(predictions) for pixels in decoded]
        return Batch(model.name, answers, done - arrived, time.perf_counter() - done)

    def _predictions(
        self, model: Model, pixels: NDArray[np.uint8], inference: Inference, total_s: float
    ) -> list[Prediction]:
        """Predict and count each photo of a batch that took `total_s`."""
        predictions = [predict(row, model.manifest.labels, model.threshold) for row in inference.probabilities]
        for prediction, brightness in zip(predictions, brightness_of(pixels), strict=True):
            self._metrics.count(prediction, brightness, {"total": total_s})
        return predictions

    async def _decode_all(self, model: Model, photos: Sequence[bytes]) -> list[NDArray[np.uint8] | ImageError]:
        jobs = (partial(self._decode, model.manifest.input, photo) for photo in photos)
        return await asyncio.gather(*(self._workers.run(job) for job in jobs))

    def _decode(self, spec: ImageSpec, data: bytes) -> NDArray[np.uint8] | ImageError:
        try:
            return decode(data, spec, max_pixels=self._max_pixels)
        except ImageError as error:
            return error

    def _count(self, prediction: Prediction, pixels: NDArray[np.uint8], stages: Mapping[str, float]) -> None:
        self._metrics.count(prediction, brightness_of(pixels[np.newaxis])[0], stages)

    def _answer(self, seen: _Seen, arrived: float) -> Answer:
        model = seen.model
        prediction = predict(seen.inference.probabilities, model.manifest.labels, model.threshold)
        now = time.perf_counter()
        stages = {
            "queue": seen.done - arrived - seen.decode_s - seen.infer_s,  # for a worker, and for those beside it
            "decode": seen.decode_s,
            "infer": seen.infer_s,
            "total": now - arrived,
        }
        asyncio.get_running_loop().call_soon(self._count, prediction, seen.pixels, stages)  # after the answer has left
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


def brightness_of(pixels: NDArray[np.uint8]) -> list[float]:
    """The mean of each photo of a batch [N, H, W, 3], 0..1, from one pixel in 64."""
    sample = pixels[:, ::8, ::8]
    means: list[float] = (sample.sum((1, 2, 3)) / (255 * sample[0].size)).tolist()
    return means
