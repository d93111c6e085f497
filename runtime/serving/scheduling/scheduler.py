"""Job scheduling: work is charged before it begins; light jobs go to the workers, heavy ones to a lane of their own."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

from runtime.host.photo_limits import PhotoLimits
from runtime.image import ImageError
from runtime.serving.scheduling.admission import AdmissionController
from runtime.serving.scheduling.batcher import IsDisconnected
from runtime.serving.scheduling.decoding_work import HEAVY_COST, Work, light_cost, request_work
from runtime.serving.scheduling.heavy_lane import HeavyLane
from runtime.serving.scheduling.workers import WorkerPool

MEGA = 1_000_000
FEW = 8  # photos whose headers take no longer than a small photo
MEASURING_COST = 10_000.0  # of a header

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
    """An encoded photo, and what decoding it costs; or why it is refused."""

    data: bytes
    cost: float
    refusal: ImageError | None = None


class _Start(Protocol):
    def __call__(self, job: Callable[[], Any], cost: float, /) -> Awaitable[Any]: ...


class Run(NamedTuple):
    """Runs jobs of admitted work, in the lane of `heavy` ones or by the workers."""

    start: _Start
    heavy: bool

    async def __call__(self, job: Callable[[], T], cost: float) -> T:
        """Run `job` of `cost` in a thread; returns or raises what it does."""
        result: T = await self.start(job, cost)
        return result


Measure = Callable[[Sequence[bytes], int], list[Work]]


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
        measure: Measure,
    ) -> None:
        """`limits` bound one photo, `max_request_cost` the photos of one request together.

        `measure` is called in the heavy lane with the photos of a request and a side, px, if they are many.
        """
        self._admission = admission
        self._workers = workers
        self._heavy = heavy
        self._limits = limits
        self._max_request_cost = max_request_cost
        self._measure_many = measure

    async def charge(self, photo: bytes, side: int) -> float:
        """The cost of a photo for a model's input of `side` px. Raises Overloaded."""
        cost = light_cost(photo, side)
        return cost if cost is not None else (await self._measure([photo], side))[0].cost

    async def charge_all(self, photos: Sequence[bytes], side: int, client: ClientName = nobody) -> list[Charged]:
        """The photos of a request of `client` with their costs.

        Raises RequestTooCostly for more work than one request may ask for, and Overloaded. One photo is bounded by its
        pixels alone.
        """
        charged = [Charged(photo, cost) for photo in photos if (cost := light_cost(photo, side)) is not None]
        if len(charged) < len(photos):
            works = await self._measure(photos, side, client)
            charged = [Charged(photo, work.cost, work.refusal) for photo, work in zip(photos, works, strict=True)]
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

    async def run_heavy(self, job: Callable[[], T], cost: float, client: ClientName = nobody) -> T:
        """Admit and run one job in the heavy lane, whatever it costs. Raises Overloaded."""
        with self._admission.enqueue(0), self._heavy.admit(client() or "", cost) as booking:
            return await self._heavy.run(booking, job, cost)

    @contextmanager
    def admit(
        self, costs: Sequence[float], client: ClientName = nobody, is_disconnected: IsDisconnected | None = None
    ) -> Iterator[Run]:
        """Admit as many jobs as there are costs; yields what runs each. Raises Overloaded."""
        total = sum(costs)
        if total <= HEAVY_COST:
            with self._admission.enqueue(len(costs)):
                yield Run(lambda job, _: self._workers.run(job), heavy=False)
            return
        # No photos for the workers, but a request all the same: no other is alone.
        with self._admission.enqueue(0), self._heavy.admit(client() or "", total, len(costs)) as booking:
            yield Run(lambda job, cost: self._heavy.run(booking, job, cost, is_disconnected), heavy=True)

    async def _measure(self, photos: Sequence[bytes], side: int, client: ClientName = nobody) -> list[Work]:
        """Of many photos in the heavy lane: small photos of others would wait for all of them."""
        if len(photos) <= FEW:
            return await self.run(partial(request_work, photos, side, self._limits))
        job = partial(self._measure_many, photos, side)
        return await self.run_heavy(job, MEASURING_COST * len(photos), client)
