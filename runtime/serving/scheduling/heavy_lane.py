"""Priority scheduling of heavy work: threads of lower priority and a fair queue, beside the workers for small photos.

A large photo takes a hundred times as long as a small one. Its decoder leaves the interpreter's lock to others, so the
operating system divides the processors between both kinds, most for the small ones; no small photo waits for its end.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from runtime.serving.scheduling.admission import Overloaded
from runtime.serving.scheduling.batcher import DISCONNECT_CHECK_S, ClientGone, IsDisconnected
from runtime.serving.scheduling.fair_queue import FairQueue
from runtime.serving.scheduling.promises import Arrival, Promises
from runtime.serving.scheduling.wait_estimate import Booking, WaitEstimate
from runtime.serving.scheduling.workers import WorkerPool, perform, settle

NOBODY = "\0"  # no client's name: of promises to a trusted proxy that names none
PATIENCE = 4.0  # times what it was told before: how long a client may wait that comes when it was told to

T = TypeVar("T")


@dataclass(eq=False, slots=True)
class _Job:
    """Queued work, its booking and cost, the future of its result, and whether its client is known to have left."""

    work: Callable[[], Any]
    booking: Booking
    cost: float
    future: asyncio.Future[Any]
    is_disconnected: IsDisconnected | None

    @property
    def abandoned(self) -> bool:
        return self.is_disconnected is not None and self.is_disconnected()


class HeavyLane:
    """Runs heavy jobs, fairly among clients, and refuses those that would wait for too long. Thread-safe."""

    def __init__(
        self,
        threads: int,
        *,
        budget_s: float,
        on_thread_start: Callable[[], None],
        ready_in_s: Callable[[], float] = lambda: 0.0,
        prepare: Callable[[float], None] = lambda _: None,
    ) -> None:
        """`threads` jobs run at once; `budget_s` is the longest acceptable wait.

        `prepare` is called in a thread of the lane with the cost of its next job, before its time is taken;
        `ready_in_s` says how long that will take for a job that comes now.
        """
        self._budget_s = budget_s
        self._ready_in_s, self._prepare = ready_in_s, prepare
        self._lock = threading.Lock()
        self._estimate = WaitEstimate(threads)
        self._promises = Promises()
        self._queue: FairQueue[_Job] = FairQueue()
        self._workers = WorkerPool(threads, name="heavy", on_thread_start=on_thread_start)
        self._checking = False

    @property
    def waiting(self) -> int:
        """The queue depth: admitted jobs that have not begun."""
        with self._lock:
            return self._estimate.waiting

    def expected_wait_s(self, client: str, cost: float) -> float:
        """The expected wait of a new job of `cost` for `client`, in seconds."""
        with self._lock:
            return self._wait_s(client, cost)

    @contextmanager
    def admit(self, client: str, cost: float, jobs: int = 1) -> Iterator[Booking]:
        """Admit `jobs` of `cost` together; raises Overloaded if the first would wait for longer than the budget.

        A client that comes when it was told to is let in though the wait is longer, by PATIENCE: it was sent away once,
        by an estimate that may have been wrong by as much. One that comes earlier does not overtake what it was told to
        bring, unless a thread is free.
        """
        with self._lock:
            wait_s, told_s = self._wait_s(client, cost / jobs), self._promises.redeem(client)
            before = self._promises.own_cost(client) if wait_s and not told_s else 0.0
            if wait_s + self._estimate.seconds_for(before) > self._budget_s + PATIENCE * told_s:
                raise self._refusal(client, cost, wait_s)
            booking = self._estimate.book(client, cost, jobs)
        try:
            yield booking
        finally:
            with self._lock:
                self._estimate.release(booking)

    def arrive(self, client: str) -> Arrival:
        """A large body of `client` begins. To be told once for each request."""
        with self._lock:
            return self._promises.arrive(client)

    def patience_s(self, client: str, told_s: float, ahead: int) -> float:
        """How long a large body of `client` may wait, unread, for memory; `ahead` others of it wait already.

        For longer if it comes when it was told to, after `told_s`; not at all where that takes longer than the budget.
        """
        if told_s:
            return PATIENCE * told_s
        with self._lock:
            cost = self._estimate.mean_cost
            before = ahead * cost + self._promises.cost_before(client, cost)
            wait_s = self._freed_s(cost) + self._estimate.seconds_for(before)
            return self._budget_s if wait_s <= self._budget_s else 0.0

    def unread_due_s(self, client: str | None, ahead: int = 0) -> int:
        """A promise, in whole seconds, to a client whose body is not read: it is hasty, or memory is short.

        It counts as a photo of mean cost, after the `ahead` others of the client that wait for memory.
        """
        client = client or NOBODY
        with self._lock:
            last_s = self._promises.last_s(client)
            if last_s is not None:
                return max(1, math.ceil(last_s))
            cost = self._estimate.mean_cost
            seconds = max(self._wait_s(client, cost) - self._budget_s / 2, self._freed_s(cost))
            return self._promise(client, cost, seconds + self._estimate.seconds_for(ahead * cost))

    def _freed_s(self, cost: float) -> float:
        """How long until a job of `cost` is done: each that is makes room for another."""
        return self._ready_in_s() + self._estimate.seconds_for(cost)

    def _wait_s(self, client: str, cost: float) -> float:
        wait_s = self._estimate.wait_s(client, cost)
        return wait_s + self._ready_in_s() if wait_s else 0.0

    def _refusal(self, client: str, cost: float, wait_s: float) -> Overloaded:
        return Overloaded("queue", self._promise(client, cost, wait_s - self._budget_s / 2))

    def _promise(self, client: str, cost: float, seconds: float) -> int:
        """In `seconds`, and later by the work of those who were refused before: they come first."""
        before = self._promises.cost_before(client, cost)
        promised_s = max(1, math.ceil(seconds + self._estimate.seconds_for(before)))
        self._promises.make(client, cost, promised_s)
        return promised_s

    async def run(
        self, booking: Booking, work: Callable[[], T], cost: float, is_disconnected: IsDisconnected | None = None
    ) -> T:
        """Run one job of a booking; returns or raises what it does.

        Raises ClientGone if `is_disconnected` was true before it began.
        """
        job = _Job(work, booking, cost, asyncio.get_running_loop().create_future(), is_disconnected)
        with self._lock:
            self._queue.put(job, booking.client, cost)
        self._workers.submit(self._run_next)
        if is_disconnected and not self._checking:
            self._schedule_check()
        try:
            result: T = await job.future
            return result
        finally:
            del job  # the frames of an exception would keep it, and it would keep the exception

    def close(self) -> None:
        """Graceful shutdown: run all jobs, then end the threads."""
        self._workers.close()

    def _schedule_check(self) -> None:
        self._checking = True
        asyncio.get_running_loop().call_later(DISCONNECT_CHECK_S, self._drop_abandoned)

    def _drop_abandoned(self) -> None:
        """On the event loop: drop the jobs whose clients have disconnected."""
        with self._lock:
            abandoned = self._queue.remove(lambda job: job.abandoned)
            self._checking = len(self._queue) > 0
        for job in abandoned:
            settle(job.future, None, ClientGone())
        if self._checking:
            self._schedule_check()

    def _run_next(self) -> None:
        """In a thread of the lane: run the job whose turn it is."""
        with self._lock:
            job = self._queue.get() if self._queue else None  # it may have been dropped
        if job is None:
            return
        if job.abandoned:
            with suppress(RuntimeError):  # the loop is closed
                job.future.get_loop().call_soon_threadsafe(settle, job.future, None, ClientGone())
            return
        perform(partial(self._measured, job.work, job.booking, job.cost), job.future)
        del job  # as in `run`

    def _measured(self, work: Callable[[], T], booking: Booking, cost: float) -> T:
        self._prepare(cost)
        with self._lock:
            running = self._estimate.begin(booking, cost)
        complete = False
        try:
            result = work()
            complete = not isinstance(result, Exception)
            return result
        finally:
            with self._lock:
                self._estimate.end(running, complete=complete)
