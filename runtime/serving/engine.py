"""The inference engine: admission control, dynamic batching, thread pool, model; from encoded photo to answer.

The work is done in a bounded thread pool, off the event loop. The exception is the small photo of a single client, for
which a thread switch would cost too much (`Engine.answer_here`). Heavy photos, and requests of many, have threads of
their own (`runtime/serving/scheduling/scheduler.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from runtime.bundle.input import max_batch_size
from runtime.bundle.manifest import Manifest
from runtime.host.thread_priority import lower_thread_priority
from runtime.image import DecodedPhoto, ImageError, ImageSpec, decode_brief, decode_photo, warm_up
from runtime.image.distributions import brightness_of
from runtime.inference.interface import Inference
from runtime.inference.predictions import Answer, Prediction
from runtime.serving.counted_answers import CountedAnswers, Inferred
from runtime.serving.loaded_model import LoadedModel
from runtime.serving.monitoring.doubtful import DoubtfulPhotos
from runtime.serving.monitoring.metrics import Metrics
from runtime.serving.offload import ChildPool
from runtime.serving.offload.photos import HeavyPhotos
from runtime.serving.results import BatchResult, Explained, TimedInference
from runtime.serving.scheduling.admission import AdmissionController
from runtime.serving.scheduling.batcher import Batcher, IsDisconnected
from runtime.serving.scheduling.decoding_work import HEAVY_COST, is_light
from runtime.serving.scheduling.heavy_lane import HeavyLane
from runtime.serving.scheduling.scheduler import Charged, ClientName, Run, Scheduler, nobody
from runtime.serving.scheduling.workers import HEAVY_NICENESS, NICENESS, WorkerPool
from runtime.serving.settings import Settings
from runtime.serving.uploads import Uploads, default_capacity

SHORT_S = 0.005  # the longest that one photo may usually keep the event loop: a health probe does not feel it
OFFLOADED_COST = 500_000.0  # about 10 ms: to hand less to a child process gains nothing
REQUEST_BATCH_SIZE = 16  # photos of one request in one inference: more would take memory and gain nothing

T = TypeVar("T")


class _Decoded(NamedTuple):
    """A decoded photo, and the seconds that decoding it took."""

    photo: DecodedPhoto
    seconds: float


class Engine:
    """Serves one model: admits photos, batches them, and runs them in the thread pool."""

    def __init__(self, model: LoadedModel, settings: Settings, metrics: Metrics) -> None:
        """Serve `model`. Warms up the decoders, so that the first request pays for no cold start."""
        self._model = model
        self._metrics = metrics
        self._limits = settings.photo_limits
        self.doubtful = DoubtfulPhotos()
        self._answers = CountedAnswers(metrics, self.doubtful)
        self.admission = AdmissionController(settings.workers, budget_s=settings.budget_s)
        lowered = partial(lower_thread_priority, NICENESS)
        self._workers = WorkerPool(settings.workers, name="classify", on_thread_start=lowered)
        self.children = ChildPool(settings.heavy_processes)
        self._heavy_photos = HeavyPhotos(self.children, settings.photo_limits)
        self.heavy = HeavyLane(
            settings.heavy_processes or settings.workers,
            budget_s=settings.budget_s,
            on_thread_start=partial(lower_thread_priority, HEAVY_NICENESS),
            ready_in_s=lambda: self.children.ready_in_s,
            prepare=lambda cost: self.children.prepare() if cost > OFFLOADED_COST else None,
        )
        self.uploads = Uploads(
            settings.upload_memory_bytes or default_capacity(),
            share=settings.upload_share,
            retry_after_s=lambda *waiting: max(self.admission.retry_after_s(), self.heavy.unread_due_s(*waiting)),
        )
        self._scheduler = Scheduler(
            self.admission,
            self._workers,
            self.heavy,
            limits=settings.photo_limits,
            max_request_cost=settings.max_request_pixels,
            measure=self._heavy_photos.measure,
        )
        self._batcher = Batcher(self._workers, self._classify_batch, lambda: max_batch_size(self.manifest.input))
        warm_up()
        metrics.heavy_processes.set_function(lambda: self.children.running)
        metrics.serve(model)

    @property
    def model(self) -> LoadedModel:
        """The active model."""
        return self._model

    @property
    def manifest(self) -> Manifest:
        """The manifest of the active model."""
        return self._model.manifest

    def swap(self, model: LoadedModel) -> None:
        """Hot-swap the model: the next photo is answered by `model`, photos in flight by the model that began them."""
        self._model = model
        self._metrics.serve(model)

    @property
    def waiting(self) -> int:
        """The queue depth: admitted photos that have not begun, light and heavy."""
        return self.admission.waiting + self.heavy.waiting

    async def answer(
        self,
        data: bytes,
        is_disconnected: IsDisconnected | None = None,
        client: ClientName = nobody,
        *,
        measured: bool = False,
    ) -> Answer:
        """Classify one encoded photo. If it is heavy, `client` is asked whose it is; `measured` as in `Metrics.count`.

        Raises ImageError, Overloaded, and ClientGone if `is_disconnected` was true before a thread was free.
        """
        return (await self.explain(data, is_disconnected, client, measured=measured)).answer

    def answer_here(self, data: bytes, *, measured: bool = False) -> Answer | None:
        """Classify one encoded photo on the event loop; None if other requests might wait for it.

        Two thread switches take as long as a third of a small inference (`benchmarks/NOTES.md`). Raises ImageError.
        """
        if not self.admission.is_idle or self.uploads.count > 1 or self.admission.service_s > SHORT_S:
            return None
        arrived = time.perf_counter()
        try:
            inferred = self._classify_on_loop(data)
        except ImageError:
            self.admission.record_service_time(time.perf_counter() - arrived)  # broken ones can take long, too
            raise
        if inferred is None:
            return None
        self.admission.record_service_time(inferred.done - arrived)
        return self._answers.of_photo(data, inferred, arrived, measured=measured)

    async def explain(
        self,
        data: bytes,
        is_disconnected: IsDisconnected | None = None,
        client: ClientName = nobody,
        *,
        measured: bool = False,
    ) -> Explained:
        """Classify one encoded photo and return its class-activation maps; raises as `answer` does."""
        arrived = time.perf_counter()
        if is_light(data, self._model.side) or (cost := await self.cost_of(data)) <= HEAVY_COST:
            with self.admission.enqueue():
                inferred = await self._batcher.submit(data, is_disconnected)
        else:
            job = partial(self._classify_heavy, data)
            inferred = await self._scheduler.run(job, cost, client, is_disconnected)
        answer = self._answers.of_photo(data, inferred, arrived, measured=measured)
        return Explained(inferred.model, answer, inferred.inference.activation_map)

    async def answer_many(
        self, photos: Sequence[bytes], client: ClientName = nobody, *, measured: bool = False
    ) -> BatchResult:
        """Classify several photos as one batch: each gets its own answer or its own error.

        Raises RequestTooCostly before any is decoded, and Overloaded.
        """
        model = self._model  # one request, one model
        answers: list[Prediction | ImageError] = []
        decode_s = infer_s = 0.0
        charged = await self._scheduler.charge_all(photos, model.side, client)
        with self._scheduler.admit([photo.cost for photo in charged], client) as run:
            for start in range(0, len(charged), REQUEST_BATCH_SIZE):
                batch = charged[start : start + REQUEST_BATCH_SIZE]
                part = await self._answer_batch(model, batch, run, measured=measured)
                answers += part.answers
                decode_s += part.decode_s
                infer_s += part.infer_s
        self.doubtful.offer(photos, answers, model.name, measured=measured)
        return BatchResult(model.name, answers, decode_s, infer_s)

    async def decode_many(
        self, photos: Sequence[bytes], model: LoadedModel, client: ClientName = nobody
    ) -> list[DecodedPhoto | ImageError]:
        """Decode photos for `model`: each decoded, or an error; raises as `answer_many` does."""
        charged = await self._scheduler.charge_all(photos, model.side, client)
        with self._scheduler.admit([photo.cost for photo in charged], client) as run:
            return await self._decode_all(model, charged, run)

    async def infer(
        self,
        pixels: NDArray[np.uint8],
        model: LoadedModel,
        damaged: Sequence[bool] | None = None,
        *,
        measured: bool = False,
    ) -> TimedInference:
        """Classify `pixels` [N, height, width, 3] that were decoded for `model`, by it. Raises Overloaded."""
        arrived = time.perf_counter()
        with self.admission.enqueue(len(pixels)):
            batches = (
                pixels[start : start + REQUEST_BATCH_SIZE] for start in range(0, len(pixels), REQUEST_BATCH_SIZE)
            )
            parts = [await self._workers.run(partial(self._time_inference, model, batch)) for batch in batches]
        elapsed_s = time.perf_counter() - arrived
        outputs, seconds = zip(*parts, strict=True)
        inference = Inference(*(np.concatenate(arrays) for arrays in zip(*outputs, strict=True)))
        broken = damaged or [False] * len(pixels)
        predictions = self._answers.of_batch(model, pixels, inference, elapsed_s, broken, measured=measured)
        return TimedInference(inference, predictions, max(0.0, elapsed_s - sum(seconds)), sum(seconds))

    async def cost_of(self, photo: bytes) -> float:
        """What decoding a photo costs (`runtime/serving/scheduling/decoding_work.py`). Raises Overloaded."""
        return await self._scheduler.charge(photo, self._model.side)

    async def work(self, job: Callable[[], T], cost: float = 0.0, client: ClientName = nobody) -> T:
        """Run another job of `cost` in a thread. Raises Overloaded."""
        return await self._scheduler.run(job, cost, client)

    async def work_heavy(self, job: Callable[[], T], cost: float, client: ClientName = nobody) -> T:
        """Run another job of `cost` in the heavy lane, whose threads may lease `children`. Raises Overloaded."""
        return await self._scheduler.run_heavy(job, cost, client)

    def close(self) -> None:
        """Graceful shutdown: finish the photos in flight, then end the threads.

        Requests had their time to end: what a child is still at, nobody waits for, and it may hang.
        """
        self.children.close()
        self.heavy.close()
        self._workers.close()

    def _classify_on_loop(self, photo: bytes) -> Inferred | None:
        model = self._model
        began = time.perf_counter()
        decoded = decode_brief(photo, model.manifest.input, limits=self._limits)
        if decoded is None:
            return None
        decoded_at = time.perf_counter()
        inference = model.infer(decoded.pixels[np.newaxis], alone=True)
        done = time.perf_counter()
        return Inferred(model, inference.of(0), decoded, decoded_at - began, done - decoded_at, done)

    def _classify_batch(self, photos: Iterator[bytes]) -> list[Inferred | Exception]:
        """Classify a dynamic batch by one model in one inference; for each photo a result or its exception."""
        model = self._model
        with self.admission.in_service() as mark_in_service:
            decoded: list[_Decoded | Exception] = []
            for photo in photos:
                mark_in_service()
                began = time.perf_counter()
                try:
                    pixels = decode_photo(photo, model.manifest.input, limits=self._limits)
                except ImageError as error:
                    decoded.append(_without_frames(error))
                except Exception as error:
                    decoded.append(error)
                else:
                    decoded.append(_Decoded(pixels, time.perf_counter() - began))
            good = [each for each in decoded if isinstance(each, _Decoded)]
            inferred = iter(self._infer_decoded(model, good) if good else ())
            return [next(inferred) if isinstance(each, _Decoded) else each for each in decoded]

    def _classify_heavy(self, photo: bytes) -> Inferred:
        model = self._model
        began = time.perf_counter()
        pixels = self._heavy_photos.decode(photo, model.manifest.input)
        return self._infer_decoded(model, [_Decoded(pixels, time.perf_counter() - began)])[0]

    def _infer_decoded(self, model: LoadedModel, photos: Sequence[_Decoded]) -> list[Inferred]:
        pixels = np.stack([each.photo.pixels for each in photos])
        began = time.perf_counter()
        inference = model.infer(pixels, alone=self.admission.is_single)
        done = time.perf_counter()
        brightnesses = brightness_of(pixels)
        return [
            Inferred(model, inference.of(i), each.photo, each.seconds, done - began, done, brightnesses[i])
            for i, each in enumerate(photos)
        ]

    def _time_inference(self, model: LoadedModel, pixels: NDArray[np.uint8]) -> tuple[Inference, float]:
        began = time.perf_counter()
        return self._infer(model, pixels), time.perf_counter() - began

    def _infer(self, model: LoadedModel, pixels: NDArray[np.uint8]) -> Inference:
        with self.admission.in_service(len(pixels)):
            return model.infer(pixels, alone=self.admission.is_single)

    async def _answer_batch(
        self, model: LoadedModel, photos: Sequence[Charged], run: Run, *, measured: bool
    ) -> BatchResult:
        arrived = time.perf_counter()
        decoded = await self._decode_all(model, photos, run)
        done = time.perf_counter()
        pictures = [photo for photo in decoded if not isinstance(photo, ImageError)]
        predictions: Iterator[Prediction] = iter(())
        if pictures:
            batch = np.stack([photo.pixels for photo in pictures])
            damaged = [photo.damaged for photo in pictures]
            inference = await self._workers.run(partial(self._infer, model, batch))
            seconds = time.perf_counter() - arrived
            predictions = iter(self._answers.of_batch(model, batch, inference, seconds, damaged, measured=measured))
        answers = [photo if isinstance(photo, ImageError) else next(predictions) for photo in decoded]
        return BatchResult(model.name, answers, done - arrived, time.perf_counter() - done)

    async def _decode_all(
        self, model: LoadedModel, photos: Sequence[Charged], run: Run
    ) -> list[DecodedPhoto | ImageError]:
        spec = model.manifest.input
        decoded = iter(
            await _all(
                run(partial(self._decode, spec, photo, run.heavy), photo.cost) for photo in photos if not photo.refusal
            )
        )
        return [photo.refusal or next(decoded) for photo in photos]

    def _decode(self, spec: ImageSpec, photo: Charged, heavy: bool) -> DecodedPhoto | ImageError:
        try:
            if heavy and photo.cost > OFFLOADED_COST:
                return self._heavy_photos.decode(photo.data, spec)
            return decode_photo(photo.data, spec, limits=self._limits)
        except ImageError as error:
            return _without_frames(error)


async def _all(jobs: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of all jobs; if one raises, the others are cancelled: nobody waits for them any more."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        raise
    finally:
        del tasks  # the frames of an exception would keep them, and they the photos


def _without_frames(error: ImageError) -> ImageError:
    """The same error alone: the frames of its causes would keep the photo, and these the error."""
    return type(error)(*error.args)
