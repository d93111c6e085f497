"""Admission control: load shedding (503) when the expected queueing delay exceeds the budget.

A client that is refused at once can try another appliance; one that waits in a growing queue gets its answer too late.
This is the backpressure of every route; `uploads.py` bounds the memory for request bodies.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SMOOTHING = 0.05  # of the exponential moving average: about the last twenty photos count
FIRST_GUESS_S = 0.02


class Overloaded(Exception):
    """The appliance cannot answer in time; `retry_after_s` is when it expects to, in whole seconds."""

    def __init__(self, reason: str, retry_after_s: int) -> None:
        """`reason` is the label of the metric, such as `queue` or `memory`."""
        super().__init__(f"too much to do at the moment; try again in {retry_after_s} s")
        self.reason = reason
        self.retry_after_s = retry_after_s


class Admitted:
    """Photos of one request, in the queue or in service while the `with` block runs."""

    def __init__(self, admission: AdmissionController, photos: int) -> None:
        """Nothing is admitted before the block begins."""
        self._admission = admission
        self._photos = photos

    def __enter__(self) -> None:
        """Admit them; raises Overloaded."""
        self._admission.admit(self._photos)

    def __exit__(self, *_: object) -> None:
        """They are done."""
        self._admission.leave(self._photos)


class AdmissionController:
    """Bounds the queue of photos by expected delay.

    The expected delay of a new photo is the number of photos ahead times the measured service time, divided by the
    number of workers. Thread-safe.
    """

    def __init__(self, workers: int, *, budget_s: float) -> None:
        """`budget_s` is the longest acceptable queueing delay."""
        self._workers = workers
        self._budget_s = budget_s
        self._lock = threading.Lock()
        self._service_s = FIRST_GUESS_S
        self._requests = 0
        self._admitted = 0
        self._in_service = 0

    @property
    def waiting(self) -> int:
        """The queue depth: admitted photos that no worker has started."""
        return max(0, self._admitted - self._in_service)

    @property
    def is_single(self) -> bool:
        """Whether at most one request is admitted, of any number of photos."""
        return self._requests <= 1

    @property
    def is_idle(self) -> bool:
        """Whether the queue is empty."""
        return self._requests == 0

    @property
    def service_s(self) -> float:
        """Service time of a photo in seconds: an exponential moving average."""
        return self._service_s

    @property
    def expected_wait_s(self) -> float:
        """Expected queueing delay of a new photo, in seconds."""
        return max(0, self._admitted - self._workers + 1) * self._service_s / self._workers

    def check_wait(self) -> None:
        """Raise Overloaded if the expected delay exceeds the budget; cheap before a body is read."""
        if self.expected_wait_s > self._budget_s:
            raise Overloaded("queue", self.retry_after_s())

    def enqueue(self, photos: int = 1) -> Admitted:
        """For a `with` statement: admit `photos` to the queue; raises Overloaded if the expected delay is too long."""
        return Admitted(self, photos)

    def admit(self, photos: int) -> None:
        """Count a request of `photos`, until `leave`; raises Overloaded if the expected delay exceeds the budget."""
        with self._lock:
            self.check_wait()
            self._requests += 1
            self._admitted += photos

    def leave(self, photos: int) -> None:
        """A request of `photos` that was admitted is done, or given up."""
        with self._lock:
            self._requests -= 1
            self._admitted -= photos

    @contextmanager
    def in_service(self, photos: int = 0) -> Iterator[Callable[[], None]]:
        """Mark `photos` of the queue as in service, in a worker thread, and measure their service time.

        Yields a function that marks one more.
        """
        taken = photos

        def mark_one() -> None:
            nonlocal taken
            taken += 1
            with self._lock:
                self._in_service += 1

        with self._lock:
            self._in_service += photos
        began = time.perf_counter()
        try:
            yield mark_one
        finally:
            with self._lock:
                self._in_service -= taken
            if taken:
                self.record_service_time(time.perf_counter() - began, taken)

    def record_service_time(self, seconds: float, photos: int = 1) -> None:
        """Update the moving average: `photos` took `seconds` together."""
        weight = 1 - (1 - SMOOTHING) ** photos  # as if each had been measured by itself
        with self._lock:
            self._service_s += weight * (seconds / photos - self._service_s)

    def retry_after_s(self) -> int:
        """Whole seconds until half the budget's wait is left, at the rate observed."""
        return max(1, math.ceil(self.expected_wait_s - self._budget_s / 2))
