"""Worker threads: a bounded LIFO thread pool; the thread that worked last works next, which keeps caches warm."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import TypeVar

NICENESS, HEAVY_NICENESS = 2, 10  # of workers and of heavy threads: of one core, the latter get a seventh

T = TypeVar("T")
Job = Callable[[], None]


class WorkerPool:
    """`count` threads that decode and infer, and a FIFO queue of jobs for when all of them are busy.

    Idle threads are a LIFO stack. `concurrent.futures` would wake the thread that has been idle longest, on a core
    with cold caches, which a single client pays for (`benchmarks/NOTES.md`).
    """

    def __init__(self, count: int, *, name: str, on_thread_start: Job) -> None:
        """Start the threads, named `name`_0 and so on; each calls `on_thread_start` first."""
        self.count = count
        self._on_thread_start = on_thread_start
        self._lock = threading.Lock()
        self._queue: deque[Job] = deque()
        self._idle: list[SimpleQueue[Job | None]] = []
        self._closing = False
        self._threads = [threading.Thread(target=self._run, name=f"{name}_{i}", daemon=True) for i in range(count)]
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job) -> None:
        """Run a job, which must not raise. After `close` only jobs of this pool may submit more."""
        with self._lock:
            if self._closing and threading.current_thread() not in self._threads:
                raise RuntimeError("the workers are closed")
            if not self._idle:
                self._queue.append(job)
                return
            wake = self._idle.pop()
        wake.put(job)

    async def run(self, job: Callable[[], T]) -> T:
        """Run `job` in a worker; returns or raises what it does."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.submit(partial(perform, job, future))
        try:
            return await future
        finally:
            del future  # the frames of an exception would keep it, and it would keep the exception

    def close(self) -> None:
        """Graceful shutdown: run all submitted jobs, then end the threads."""
        with self._lock:
            self._closing = True
            idle, self._idle = self._idle, []
        for wake in idle:
            wake.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        self._on_thread_start()
        wake: SimpleQueue[Job | None] = SimpleQueue()
        while job := self._next(wake):
            job()
            del job  # an idle thread must not keep a photo or a model that was swapped

    def _next(self, wake: SimpleQueue[Job | None]) -> Job | None:
        with self._lock:
            if self._queue:
                return self._queue.popleft()
            if self._closing:
                return None
            self._idle.append(wake)
        return wake.get()


def perform(job: Callable[[], T], future: asyncio.Future[T]) -> None:
    """In a worker: run the job, unless its future was cancelled, and settle that future on the event loop."""
    if future.cancelled():
        return
    try:
        result, error = job(), None
    except BaseException as raised:
        result, error = None, raised
    with suppress(RuntimeError):  # the loop has been closed: nobody waits
        future.get_loop().call_soon_threadsafe(settle, future, result, error)
    del error, future  # as in `run`


def settle(future: asyncio.Future[T], result: T | None, error: BaseException | None) -> None:
    """On the event loop: set the result or the error of `future`, unless it is done or cancelled."""
    if future.done():
        return
    if error:
        future.set_exception(error)
    else:
        future.set_result(result)  # type: ignore[arg-type]  # it is a T if there is no error
