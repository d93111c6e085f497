"""Slow refusals (a tarpit): who is refused again and again gets each further answer late.

A refusal costs the event loop as much as a third of a small photo. Guesses on a few connections would take its time
from those who may come in; made to wait, they take a thousandth of it, and nothing of their bodies is read meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable

from runtime.host.memory_limit import memory_for_planning
from runtime.serving.http.connections import default_limit

BURST, INTERVAL_S = 10, 0.5  # refusals of one client in a row, and then one in so long, that are told at once
DELAY_S = 1.0
MOST = 256  # that wait at once; beyond them none does, so that they hold little memory
MEMORY_SHARE, REQUEST_BYTES = 1 / 32, 256 * 1024  # of the memory, for what has come of their bodies, and of one
CONNECTION_SHARE = 1 / 4  # of the connections: while it waits, none can be taken away for a newcomer
KEPT = 4096  # clients, the least recent forgotten first


class SlowRefusals:
    """Refusals by client: a token bucket each (generic cell rate algorithm). For the event loop only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, most: int = MOST) -> None:
        """`clock` is in seconds; at most `most` refusals wait at once."""
        self._clock = clock
        self._most = most
        self._due: OrderedDict[str, float] = OrderedDict()
        self._waiting = 0

    def delay_s(self, client: str) -> float:
        """Count a refusal of `client`; how long it is to be kept back, in seconds."""
        now, most_s = self._clock(), BURST * INTERVAL_S
        due = max(now, self._due.pop(client, now)) + INTERVAL_S
        self._due[client] = min(due, now + most_s)
        if len(self._due) > KEPT:
            self._due.popitem(last=False)
        return DELAY_S if due - now > most_s and self._waiting < self._most else 0.0

    async def wait(self, client: str) -> None:
        """Count a refusal of `client`, and keep it back if there were too many."""
        seconds = self.delay_s(client)
        if not seconds:
            return
        self._waiting += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self._waiting -= 1


def most_waiting(connections: int | None) -> int:
    """How many refusals may wait at once, of `connections` at most (None for what the system allows).

    No limit of uploads counts what has come of their bodies.
    """
    memory = memory_for_planning()
    by_memory = MOST if memory is None else int(MEMORY_SHARE * memory / REQUEST_BYTES)
    return max(1, min(MOST, by_memory, int(CONNECTION_SHARE * (connections or default_limit()))))
