"""The threads that decode and infer: a bounded pool, of which the one that worked last works next."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")
Job = Callable[[], None]


class Workers:
    """`count` threads, and a line of jobs where all are busy.

    `concurrent.futures` would wake the thread that has idled longest, on a core whose caches hold other things, which
    a lone client pays for (`benchmarks/NOTES.md`).
    """

    def __init__(self, count: int, *, name: str, begin: Job) -> None:
        """Start the threads, called `name`_0 and so on; each calls `begin` first."""
        self.count = count
        self._begin = begin
        self._lock = threading.Lock()
        self._line: deque[Job] = deque()
        self._idle: list[SimpleQueue[Job | None]] = []
        self._closing = False
        self._threads = [threading.Thread(target=self._run, name=f"{name}_{i}", daemon=True) for i in range(count)]
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job) -> None:
        """Have the job done; it may not raise. Once the pool is closed only its own jobs may ask for more."""
        with self._lock:
            if self._closing and threading.current_thread() not in self._threads:
                raise RuntimeError("the workers are closed")
            if not self._idle:
                self._line.append(job)
                return
            wake = self._idle.pop()
        wake.put(job)

    async def run(self, job: Callable[[], T]) -> T:
        """What the job returns or raises, done by a worker."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.submit(partial(_perform, job, future))
        try:
            return await future
        finally:
            del future  # the frames of an exception would keep it, and it would keep the exception

    def close(self) -> None:
        """Finish all that was submitted, and end the threads."""
        with self._lock:
            self._closing = True
            idle, self._idle = self._idle, []
        for wake in idle:
            wake.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        self._begin()
        wake: SimpleQueue[Job | None] = SimpleQueue()
        while job := self._next(wake):
            job()
            del job  # an idle thread must not keep a photo or a model that was swapped

    def _next(self, wake: SimpleQueue[Job | None]) -> Job | None:
        with self._lock:
            if self._line:
                return self._line.popleft()
            if self._closing:
                return None
            self._idle.append(wake)
        return wake.get()


def _perform(job: Callable[[], T], future: asyncio.Future[T]) -> None:
    """In a worker: do the job, and have the event loop told of it."""
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
    """In the event loop: tell `future` the result or the error, if anybody still waits for it."""
    if future.done():
        return
    if error:
        future.set_exception(error)
    else:
        future.set_result(result)  # type: ignore[arg-type]  # it is a T where there is no error
