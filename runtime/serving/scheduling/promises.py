"""Promises: when clients were told to come again, and what they will bring.

Whoever is refused counts as work that comes at its time, else all would be told the same time, and most in vain. Who
comes before it is refused again before anything of its photo is read.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import NamedTuple

MOST = 1024  # promises that are remembered, the oldest forgotten first
SEVERAL = 4  # promises that one client must have for what it sends too early to be refused unread
KEPT_S = 30.0  # after its time, until a promise is forgotten


class _Promise(NamedTuple):
    """The time (s) of a promise, and the cost of what was refused."""

    due: float
    cost: float


class Promises:
    """What clients were promised by `Retry-After`. Not thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` is in seconds."""
        self._clock = clock
        self._of: OrderedDict[str, deque[_Promise]] = OrderedDict()
        self._count = 0

    @property
    def cost(self) -> float:
        """The cost of all that is to come."""
        now = self._clock()
        return sum(promise.cost for promises in self._of.values() for promise in promises if promise.due > now)

    def make(self, client: str, cost: float, seconds: float) -> None:
        """Promise `client` that its work of `cost` is welcome in `seconds`."""
        self._forget()
        self._of.setdefault(client, deque()).append(_Promise(self._clock() + seconds, cost))
        self._of.move_to_end(client)
        self._count += 1

    def hasty_s(self, client: str) -> float:
        """How long until `client` is welcome; 0 if it is now, which redeems a promise if there is one."""
        promises = self._of.get(client)
        if not promises:
            return 0.0
        left_s = promises[0].due - self._clock()
        if left_s > 0:
            return left_s if len(promises) >= SEVERAL else 0.0
        promises.popleft()
        self._count -= 1
        if not promises:
            del self._of[client]
        return 0.0

    def _forget(self) -> None:
        now = self._clock()
        while self._of:
            client, promises = next(iter(self._of.items()))
            while promises and (promises[0].due + KEPT_S < now or self._count >= MOST):
                promises.popleft()
                self._count -= 1
            if promises:
                return
            del self._of[client]
