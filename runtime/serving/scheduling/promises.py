"""Promises: when clients were told to come again, and what they will bring.

Whoever is refused counts as work that comes at its time, else all would be told the same time, and most in vain. Who
comes before it is refused again before anything of its photo is read; who comes at its time may wait for longer.
"""

from __future__ import annotations

import time
from bisect import insort
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import NamedTuple

MOST = 1024  # promises that are remembered, the oldest forgotten first
SEVERAL = 4  # promises that one client must have for what it sends too early to be refused unread
MOST_UNREAD = 64  # promises of one client from which on it gets no more for what is not read
KEPT_S = 30.0  # after its time, until a promise is forgotten


class _Promise(NamedTuple):
    """The time (s) of a promise, the cost of what was refused, and how long (s) its client was told to wait."""

    due: float
    cost: float
    seconds: float


class Arrival(NamedTuple):
    """Work that arrives: how long (s) until it is welcome, 0 if now; how long its client was told to wait, 0 if not."""

    hasty_s: float
    told_s: float = 0.0


class Promises:
    """What clients were promised by `Retry-After`. Not thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` is in seconds."""
        self._clock = clock
        self._of: OrderedDict[str, list[_Promise]] = OrderedDict()  # of each client, the first that is due first
        self._arriving: deque[tuple[str, _Promise]] = deque(maxlen=MOST)
        self._count = 0

    def cost_before(self, client: str, cost: float) -> float:
        """What is to come before a new job of `cost` for `client`: its own, and of others what is fair to let pass."""
        own = self.own_cost(client)
        coming = (self.own_cost(other) for other in self._of if other != client)
        return own + sum(min(others, own + cost) for others in coming)

    def own_cost(self, client: str) -> float:
        """What `client` was told to bring, and is not to bring yet."""
        now = self._clock()
        return sum(each.cost for each in self._of.get(client, ()) if each.due > now)

    def last_s(self, client: str) -> float | None:
        """How long until the last promise to `client` is due, if it has as many as it may get for what is not read."""
        promises = self._of.get(client, [])
        return promises[-1].due - self._clock() if len(promises) >= MOST_UNREAD else None

    def make(self, client: str, cost: float, seconds: float) -> None:
        """Promise `client` that its work of `cost` is welcome in `seconds`."""
        self._forget()
        insort(self._of.setdefault(client, []), _Promise(self._clock() + seconds, cost, seconds))
        self._of.move_to_end(client)
        self._count += 1

    def arrive(self, client: str) -> Arrival:
        """Work of `client` begins to arrive; if it is time for that, its first promise counts as kept (`redeem`)."""
        promises = self._of.get(client)
        if not promises:
            return Arrival(0.0)
        left_s = promises[0].due - self._clock()
        if left_s > 0:
            return Arrival(left_s if len(promises) >= SEVERAL else 0.0)
        promise = self._take(client)
        self._arriving.append((client, promise))
        return Arrival(0.0, promise.seconds)

    def redeem(self, client: str) -> float:
        """How long (s) `client`, whose work has arrived, was told to wait before; 0 if it has not come at its time.

        Each promise is redeemed once, by what comes first.
        """
        now = self._clock()
        for arrived in self._arriving:
            if arrived[0] == client:
                self._arriving.remove(arrived)
                return arrived[1].seconds if now <= arrived[1].due + KEPT_S else 0.0
        promises = self._of.get(client)
        return self._take(client).seconds if promises and promises[0].due <= now else 0.0

    def _take(self, client: str) -> _Promise:
        promises = self._of[client]
        promise = promises.pop(0)
        self._count -= 1
        if not promises:
            del self._of[client]
        return promise

    def _forget(self) -> None:
        now = self._clock()
        while self._of:
            client, promises = next(iter(self._of.items()))
            while promises and (promises[0].due + KEPT_S < now or self._count >= MOST):
                promises.pop(0)
                self._count -= 1
            if promises:
                return
            del self._of[client]
