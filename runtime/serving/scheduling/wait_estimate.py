"""Wait estimate of a fair queue: the work left of each client, less the progress of what runs, at the measured pace."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass

FIRST_PACE_S = 20e-9  # for a unit of cost (`runtime/serving/scheduling/decoding_work.py`), until it has been measured
FIRST_COST = 2_000_000.0  # as if that pace had been measured with so much work: the first large photo corrects it
SMOOTHING_COST = 40_000_000.0  # the moving average forgets as this much work is done: a few large photos
ALMOST = 0.8  # the progress of a job that runs for longer than expected
FIRST_MEAN = 12_000_000.0  # the mean cost of a job, until one is booked
LEAST_COST = 10_000.0  # of a job: none is done in no time


@dataclass(eq=False, slots=True)
class Booking:
    """Work that was admitted for a client: the cost and the number of the jobs that are not done."""

    client: str
    cost: float
    jobs: int


@dataclass(eq=False, slots=True)
class Running:
    """A job in service, and when it began (s)."""

    booking: Booking
    cost: float
    began: float


class WaitEstimate:
    """Books work before it begins, and says how long a new job would wait. Not thread-safe."""

    def __init__(self, threads: int) -> None:
        """`threads` jobs run at once."""
        self._threads = threads
        self._pace_s, self._seen_cost = FIRST_PACE_S, FIRST_COST
        self._last_mean = FIRST_MEAN
        self._bookings: set[Booking] = set()
        self._running: set[Running] = set()

    @property
    def waiting(self) -> int:
        """Jobs that are booked and not begun."""
        booked = sum(booking.jobs for booking in self._bookings)
        return max(0, booked - len(self._running))  # a job whose booking was released just before may run, too

    @property
    def mean_cost(self) -> float:
        """Of the jobs that are booked; without any, what it was after the latest booking."""
        jobs = sum(booking.jobs for booking in self._bookings)
        return sum(booking.cost for booking in self._bookings) / jobs if jobs else self._last_mean

    def book(self, client: str, cost: float, jobs: int) -> Booking:
        """Count `jobs` of `cost` together as work to do, until they have ended or `release` is called."""
        booking = Booking(client, cost, jobs)
        self._bookings.add(booking)
        self._last_mean = self.mean_cost
        return booking

    def release(self, booking: Booking) -> None:
        """Forget what of a booking has not begun."""
        begun = [job for job in self._running if job.booking is booking]
        booking.cost, booking.jobs = sum(job.cost for job in begun), len(begun)
        if not begun:
            self._bookings.discard(booking)

    def begin(self, booking: Booking, cost: float) -> Running:
        """One of the jobs of a booking begins."""
        job = Running(booking, max(cost, LEAST_COST), time.perf_counter())
        self._running.add(job)
        return job

    def end(self, job: Running, *, complete: bool) -> None:
        """A job has ended. One that failed early says nothing of the pace, one that failed late does."""
        self._running.discard(job)
        job.booking.cost -= job.cost
        job.booking.jobs -= 1
        if job.booking.jobs <= 0:
            self._bookings.discard(job.booking)
        pace_s = (time.perf_counter() - job.began) / job.cost
        if complete or pace_s > self._pace_s:
            self._pace_s += job.cost / (job.cost + self._seen_cost) * (pace_s - self._pace_s)
            self._seen_cost = min(SMOOTHING_COST, self._seen_cost + job.cost)

    def wait_s(self, client: str, cost: float) -> float:
        """The expected wait in seconds of a new job of `cost` for `client`.

        All earlier jobs of the same client go before it, and of each other client what runs already, or as much as
        fair queueing lets pass.
        """
        if sum(booking.jobs for booking in self._bookings) < self._threads:
            return 0.0
        now = time.perf_counter()
        pace_s = self._pace_now_s(now)
        in_service: defaultdict[str, float] = defaultdict(float)
        left: defaultdict[str, float] = defaultdict(float)
        for booking in self._bookings:
            left[booking.client] += max(0.0, booking.cost)
        for job in self._running:
            done = job.cost * min(ALMOST, (now - job.began) / (job.cost * pace_s))
            left[job.booking.client] -= done
            in_service[job.booking.client] += job.cost - done
        own = left.pop(client, 0.0)
        others = sum(max(in_service[other], min(work, own + cost)) for other, work in left.items())
        return (own + others) * pace_s / self._threads

    def seconds_for(self, cost: float) -> float:
        """How long work of `cost` keeps all threads busy."""
        return cost * self._pace_now_s(time.perf_counter()) / self._threads

    def _pace_now_s(self, now: float) -> float:
        """The measured pace, or that of a job that already takes longer."""
        return max([self._pace_s, *((now - job.began) / job.cost for job in self._running)])
