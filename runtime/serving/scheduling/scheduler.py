"""Job scheduling: work is charged before it begins; light jobs go to the workers, heavy ones to a lane of their own."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

from runtime.host.photo_limits import PhotoLimits
from runtime.serving.scheduling.admission import AdmissionController
from runtime.serving.scheduling.batcher import IsDisconnected
from runtime.serving.scheduling.decoding_work import HEAVY_COST, light_cost, request_work
from runtime.serving.scheduling.heavy_lane import HeavyLane
from runtime.serving.scheduling.workers import WorkerPool

MEGA = 1_000_000

T = TypeVar("T")
ClientName = Callable[[], str | None]  # asked of heavy work alone: to find it out takes longer than to pass it on


class RequestTooCostly(Exception):
    """The photos of one request take more work than one request may ask for; none has been decoded."""

    def __init__(self, cost: float, budget: float) -> None:
        """`cost` and `budget` are in pixels of a WebP (`runtime/serving/scheduling/decoding_work.py`)."""
        super().__init__(
            f"decoding the photos of this request takes the work of {math.ceil(cost / MEGA)} megapixels, more than "
            f"the {budget / MEGA:g} accepted at once; send fewer photos in each request, or smaller ones"
        )


class Charged(NamedTuple):
    """An encoded photo, and what decoding it costs."""

    data: bytes
    cost: float


class Run(Protocol):
    """Runs one job of admitted work in a thread; returns or raises what it does."""

    def __call__(self, job: Callable[[], T], cost: float, /) -> Awaitable[T]:
        """Run `job` of `cost`."""


def nobody() -> None:
    """The client of work that no client is known of."""
    return


class Scheduler:
    """Admits jobs by what they cost, and runs them in the threads that are meant for such."""

    def __init__(
        self,
        admission: AdmissionController,
        workers: WorkerPool,
        heavy: HeavyLane,
        *,
        limits: PhotoLimits,
        max_request_cost: float,
    ) -> None:
        """`limits` bound one photo, `max_request_cost` the photos of one request together."""
        self._admission = admission
        self._workers = workers
        self._heavy = heavy
        self._limits = limits
        self._max_request_cost = max_request_cost

    async def charge(self, photo: bytes, side: int) -> float:
        """The cost of a photo for a model's input of `side` px. Raises Overloaded."""
        cost = light_cost(photo, side)
        return cost if cost is not None else (await self._measure([photo], side))[0]

    async def charge_all(self, photos: Sequence[bytes], side: int) -> list[Charged]:
        """The photos of a request with their costs.

        Raises RequestTooCostly for more work than one request may ask for, and Overloaded. One photo is bounded by its
        pixels alone.
        """
        charged = [Charged(photo, cost) for photo in photos if (cost := light_cost(photo, side)) is not None]
        if len(charged) < len(photos):
            charged = list(map(Charged, photos, await self._measure(photos, side)))
        total = sum(photo.cost for photo in charged)
        if len(photos) > 1 and total > self._max_request_cost:
            raise RequestTooCostly(total, self._max_request_cost)
        return charged

    async def run(
        self,
        job: Callable[[], T],
        cost: float = 0.0,
        client: ClientName = nobody,
        is_disconnected: IsDisconnected | None = None,
    ) -> T:
        """Admit and run one job. Raises Overloaded, and ClientGone if `is_disconnected` was true before it began."""
        with self.admit([cost], client, is_disconnected) as run:
            return await run(job, cost)

    @contextmanager
    def admit(
        self, costs: Sequence[float], client: ClientName = nobody, is_disconnected: IsDisconnected | None = None
    ) -> Iterator[Run]:
        """Admit as many jobs as there are costs; yields what runs each. Raises Overloaded."""
        total = sum(costs)
        if total <= HEAVY_COST:
            with self._admission.enqueue(len(costs)):
                yield lambda job, _: self._workers.run(job)
            return
        # No photos for the workers, but a request all the same: no other is alone.
        with self._admission.enqueue(0), self._heavy.admit(client() or "", total, len(costs)) as booking:
            yield lambda job, cost: self._heavy.run(booking, job, cost, is_disconnected)

    async def _measure(self, photos: Sequence[bytes], side: int) -> list[float]:
        return await self.run(partial(self._costs, photos, side))

    def _costs(self, photos: Sequence[bytes], side: int) -> list[float]:
        return request_work(photos, side, self._limits)
