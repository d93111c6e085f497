"""Photos that wait for a worker are taken up a few at a time, so that one inference serves them all.

An inference reads the network's weights from memory once, for however many photos, and a worker's answers wake the
event loop once (`benchmarks/NOTES.md`).
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

from runtime.workers import Workers, settle

LARGE_BYTES = 1 << 18  # a photo of so many begins a batch of its own: those beside it would wait for its decoding
LOOK_S = 0.1  # between two looks at who of those in line has left
GATHERING_S = 0.01  # after so long with the first of them no more are taken up: they are large, and gain nothing

Done = TypeVar("Done")
Left = Callable[[], bool]
Work = Callable[[Iterator[bytes]], Sequence[Done | Exception]]


class ClientGone(Exception):
    """The client went away before a worker was free; nothing was computed."""


@dataclass(eq=False, slots=True)
class _Ticket(Generic[Done]):
    """A photo in line, the future of what becomes of it, and whether its client has left, where that is known."""

    photo: bytes
    future: asyncio.Future[Done]
    left: Left | None

    @property
    def abandoned(self) -> bool:
        return self.left is not None and self.left()


class Batcher(Generic[Done]):
    """The line before the workers; all who stand in it belong to one event loop."""

    def __init__(self, workers: Workers, work: Work[Done], most: Callable[[], int]) -> None:
        """`work` is done by a worker: it draws photos from the iterator and returns an outcome for each that it drew.

        How many it is given is decided while it draws, `most` at once. The workers may have other jobs, too.
        """
        self._workers = workers
        self._work = work
        self._most = most
        self._lock = threading.Lock()
        self._waiting: deque[_Ticket[Done]] = deque()
        self._busy = 0
        self._looking = False

    async def do(self, photo: bytes, left: Left | None = None) -> Done:
        """What `work` made of the photo, or raises the exception that it returned for it.

        Raises ClientGone where `left`, which several threads may ask, was true before a worker took the photo up.
        """
        ticket = _Ticket[Done](photo, asyncio.get_running_loop().create_future(), left)
        self._enter(ticket)
        if left and not self._looking:
            self._look_later()
        try:
            return await ticket.future
        finally:
            del ticket  # the frames of an exception would keep it, and it would keep the exception

    def _enter(self, ticket: _Ticket[Done]) -> None:
        with self._lock:
            self._waiting.append(ticket)
            idle = self._busy < self._workers.count
            self._busy += idle
        if idle:
            self._workers.submit(self._take_up)

    def _look_later(self) -> None:
        """One look for all who wait: a task for each would cost as much as a small inference."""
        self._looking = True
        asyncio.get_running_loop().call_later(LOOK_S, self._look)

    def _look(self) -> None:
        """In the event loop: who has left makes room for others in line."""
        with self._lock:
            abandoned = [ticket for ticket in self._waiting if ticket.abandoned]
            for ticket in abandoned:
                self._waiting.remove(ticket)
            self._looking = bool(self._waiting)
        for ticket in abandoned:
            settle(ticket.future, None, ClientGone())
        if self._looking:
            self._look_later()

    def _take_up(self) -> None:
        """In a worker: serve some of those who wait, and come again at the end of the workers' own line for others."""
        tickets: list[_Ticket[Done]] = []
        try:
            outcomes = self._work(self._draw(tickets))
        except Exception as error:  # of no single photo: all of them hear of it
            outcomes = [error] * len(tickets)
        with suppress(IndexError, RuntimeError):  # all had left; or the loop is closed, and nobody waits
            tickets[0].future.get_loop().call_soon_threadsafe(_settle, tickets, outcomes)
        with self._lock:
            more = bool(self._waiting)
            self._busy -= not more
        if more:
            self._workers.submit(self._take_up)

    def _draw(self, tickets: list[_Ticket[Done]]) -> Iterator[bytes]:
        began: float | None = None
        with self._lock:
            share = min(self._most(), math.ceil(len(self._waiting) / self._workers.count))
        while len(tickets) < share and (began is None or time.perf_counter() - began < GATHERING_S):
            with self._lock:
                if not self._waiting or (tickets and len(self._waiting[0].photo) > LARGE_BYTES):
                    return
                ticket = self._waiting.popleft()
            if ticket.abandoned:
                with suppress(RuntimeError):  # the loop is closed
                    ticket.future.get_loop().call_soon_threadsafe(settle, ticket.future, None, ClientGone())
            elif not ticket.future.cancelled():
                began = began or time.perf_counter()
                tickets.append(ticket)
                yield ticket.photo


def _settle(tickets: Sequence[_Ticket[Done]], outcomes: Sequence[Done | Exception]) -> None:
    for ticket, outcome in zip(tickets, outcomes, strict=True):
        if isinstance(outcome, Exception):
            settle(ticket.future, None, outcome)
        else:
            settle(ticket.future, outcome, None)
