"""Dynamic batching: group queued photos into micro-batches, so that one inference serves them all.

An inference reads the network's weights from memory once per batch, and a worker wakes the event loop once per batch
(`benchmarks/NOTES.md`). Nothing waits for a batch to fill: a free worker takes its share of what is queued.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from runtime.serving.scheduling.workers import WorkerPool, settle

LARGE_BYTES = 1 << 18  # a photo of this size starts a new batch: the others would wait for its decoding
DISCONNECT_CHECK_S = 0.1  # between two checks of the queue for clients that have disconnected
MAX_GATHER_S = 0.01  # after this time no more photos join a batch: they are large, and batching gains nothing

Result = TypeVar("Result")
IsDisconnected = Callable[[], bool]
Work = Callable[[Iterator[bytes]], Sequence[Result | Exception]]


class ClientGone(Exception):
    """The client disconnected before a worker was free; nothing was computed."""


@dataclass(eq=False, slots=True)
class _QueuedPhoto(Generic[Result]):
    """A photo in the queue, the future of its result, and whether its client has disconnected, if that is known."""

    photo: bytes
    future: asyncio.Future[Result]
    is_disconnected: IsDisconnected | None

    @property
    def abandoned(self) -> bool:
        return self.is_disconnected is not None and self.is_disconnected()


class Batcher(Generic[Result]):
    """Queues photos of one event loop and hands them to the worker pool in micro-batches."""

    def __init__(self, workers: WorkerPool, work: Work[Result], max_batch_size: Callable[[], int]) -> None:
        """`work` runs in a worker: it draws photos from the iterator and returns one result or exception for each.

        The size of a batch is decided while it is drawn, `max_batch_size` at most. The pool may have other jobs, too.
        """
        self._workers = workers
        self._work = work
        self._max_batch_size = max_batch_size
        self._lock = threading.Lock()
        self._queue: deque[_QueuedPhoto[Result]] = deque()
        self._busy = 0
        self._checking = False

    async def submit(self, photo: bytes, is_disconnected: IsDisconnected | None = None) -> Result:
        """The result of `work` for this photo; raises the exception that `work` returned for it.

        Raises ClientGone if `is_disconnected` was true before a worker took the photo. Several threads may call it.
        """
        # With `[Result]` behind its name, the call would take three times as long.
        queued: _QueuedPhoto[Result] = _QueuedPhoto(photo, asyncio.get_running_loop().create_future(), is_disconnected)
        self._enqueue(queued)
        if is_disconnected and not self._checking:
            self._schedule_check()
        try:
            return await queued.future
        finally:
            del queued  # the frames of an exception would keep it, and it would keep the exception

    def _enqueue(self, queued: _QueuedPhoto[Result]) -> None:
        with self._lock:
            self._queue.append(queued)
            idle = self._busy < self._workers.count
            self._busy += idle
        if idle:
            self._workers.submit(self._run_batch)

    def _schedule_check(self) -> None:
        """One timer for the whole queue: a task per photo would cost as much as a small inference."""
        self._checking = True
        asyncio.get_running_loop().call_later(DISCONNECT_CHECK_S, self._drop_abandoned)

    def _drop_abandoned(self) -> None:
        """On the event loop: drop the photos whose clients have disconnected, which makes room in the queue."""
        with self._lock:
            abandoned = [queued for queued in self._queue if queued.abandoned]
            for queued in abandoned:
                self._queue.remove(queued)
            self._checking = bool(self._queue)
        for queued in abandoned:
            settle(queued.future, None, ClientGone())
        if self._checking:
            self._schedule_check()

    def _run_batch(self) -> None:
        """In a worker: serve one batch; then submit this job again, behind the pool's other jobs, if more is queued."""
        batch: list[_QueuedPhoto[Result]] = []
        try:
            results = self._work(self._take_batch(batch))
        except Exception as error:  # not about one photo: it is the result of all of them
            results = [error] * len(batch)
        with suppress(IndexError, RuntimeError):  # all clients disconnected; or the loop is closed, and nobody waits
            batch[0].future.get_loop().call_soon_threadsafe(_settle_all, batch, results)
        with self._lock:
            more = bool(self._queue)
            self._busy -= not more
        if more:
            self._workers.submit(self._run_batch)

    def _take_batch(self, batch: list[_QueuedPhoto[Result]]) -> Iterator[bytes]:
        began: float | None = None
        with self._lock:
            share = min(self._max_batch_size(), math.ceil(len(self._queue) / self._workers.count))
        while len(batch) < share and (began is None or time.perf_counter() - began < MAX_GATHER_S):
            with self._lock:
                if not self._queue or (batch and len(self._queue[0].photo) > LARGE_BYTES):
                    return
                queued = self._queue.popleft()
            if queued.abandoned:
                with suppress(RuntimeError):  # the loop is closed
                    queued.future.get_loop().call_soon_threadsafe(settle, queued.future, None, ClientGone())
            elif not queued.future.cancelled():
                began = began or time.perf_counter()
                batch.append(queued)
                yield queued.photo


def _settle_all(batch: Sequence[_QueuedPhoto[Result]], results: Sequence[Result | Exception]) -> None:
    for queued, result in zip(batch, results, strict=True):
        if isinstance(result, Exception):
            settle(queued.future, None, result)
        else:
            settle(queued.future, result, None)
