"""Who may come in: a photo that would wait longer than the budget is better told so at once."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SMOOTHING = 0.05  # of the measured service time: about the last twenty photos count
FIRST_GUESS_S = 0.02


class Overloaded(Exception):
    """The appliance cannot answer in time; `retry_after_s` is when it expects to, in whole seconds."""

    def __init__(self, reason: str, retry_after_s: int) -> None:
        """`reason` is the label of the metric: `queue` or `memory`."""
        super().__init__(f"too much to do at the moment; try again in {retry_after_s} s")
        self.reason = reason
        self.retry_after_s = retry_after_s


class Line:
    """The photos that wait or are worked on, how long they take, and how much memory their bytes hold.

    The wait that a newcomer must expect is the number of photos ahead times the measured service time, over the
    workers. Safe to use from several threads.
    """

    def __init__(self, workers: int, *, budget_s: float, max_held_bytes: int) -> None:
        """`budget_s` is the longest wait; `max_held_bytes` bounds the encoded photos in memory."""
        self._workers = workers
        self._budget_s = budget_s
        self._max_held_bytes = max_held_bytes
        self._lock = threading.Lock()
        self._service_s = FIRST_GUESS_S
        self._requests = 0
        self._ahead = 0
        self._working = 0
        self._held = 0
        self._held_bytes = 0

    @property
    def waiting(self) -> int:
        """Photos that no worker has taken up yet."""
        return max(0, self._ahead - self._working)

    @property
    def alone(self) -> bool:
        """Whether at most one request is in the house, of however many photos."""
        return self._requests <= 1

    @property
    def quiet(self) -> bool:
        """Whether nobody stands in line, and at most one request is held."""
        return self._requests == 0 and self._held <= 1

    @property
    def service_s(self) -> float:
        """How long a worker has lately taken for a photo."""
        return self._service_s

    @property
    def expected_wait_s(self) -> float:
        """How long a newcomer would wait for a worker."""
        return max(0, self._ahead - self._workers + 1) * self._service_s / self._workers

    @contextmanager
    def holding(self, size_bytes: int) -> Iterator[None]:
        """Keep `size_bytes` of a request in memory; raises Overloaded where that, or the wait, would be too much.

        To be asked before the body is read: a refusal should cost nothing. One request alone is always let in.
        """
        with self._lock:
            self._check_wait()
            if self._held_bytes and self._held_bytes + size_bytes > self._max_held_bytes:
                raise Overloaded("memory", self._retry_after_s())
            self._held += 1
            self._held_bytes += size_bytes
        try:
            yield
        finally:
            with self._lock:
                self._held -= 1
                self._held_bytes -= size_bytes

    @contextmanager
    def place(self, photos: int = 1) -> Iterator[None]:
        """Stand in line with `photos`; raises Overloaded where the wait would exceed the budget."""
        with self._lock:
            self._check_wait()
            self._requests += 1
            self._ahead += photos
        try:
            yield
        finally:
            with self._lock:
                self._requests -= 1
                self._ahead -= photos

    @contextmanager
    def working(self, photos: int = 0) -> Iterator[Callable[[], None]]:
        """Work on `photos` that stand in line, in a worker's thread; yields what is called to take up one more.

        Their time is measured.
        """
        taken = photos

        def take_up() -> None:
            nonlocal taken
            taken += 1
            with self._lock:
                self._working += 1

        with self._lock:
            self._working += photos
        began = time.perf_counter()
        try:
            yield take_up
        finally:
            with self._lock:
                self._working -= taken
            if taken:
                self.took(time.perf_counter() - began, taken)

    def took(self, seconds: float, photos: int = 1) -> None:
        """Learn that `photos` took so long, together."""
        weight = 1 - (1 - SMOOTHING) ** photos  # as if each had been measured by itself
        with self._lock:
            self._service_s += weight * (seconds / photos - self._service_s)

    def _check_wait(self) -> None:
        if self.expected_wait_s > self._budget_s:
            raise Overloaded("queue", self._retry_after_s())

    def _retry_after_s(self) -> int:
        """Whole seconds until half the budget's wait is left, at the rate observed."""
        return max(1, math.ceil(self.expected_wait_s - self._budget_s / 2))
