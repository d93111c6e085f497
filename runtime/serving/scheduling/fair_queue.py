"""Start-time fair queueing: clients share by the cost of their jobs, however many each has queued.

Goyal, Vin and Cheng, "Start-time fair queueing", SIGCOMM 1996. Each job is stamped with the virtual time at which its
client's earlier jobs would end, and the lowest stamp is next: a client that has been idle goes before the second job of
one that has not, and saves up no claim while it is idle.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

Item = TypeVar("Item")


class _Entry(NamedTuple, Generic[Item]):
    """An item, whose it is, and its place: by virtual start, then by arrival."""

    start: float
    number: int
    client: str
    item: Item


class FairQueue(Generic[Item]):
    """A queue that is fair among clients. Not thread-safe."""

    def __init__(self) -> None:
        """Begin empty, at virtual time 0."""
        self._now = 0.0
        self._count = 0
        self._entries: list[_Entry[Item]] = []
        self._ends: dict[str, float] = {}

    def __len__(self) -> int:
        """How many items are queued."""
        return len(self._entries)

    def put(self, item: Item, client: str, cost: float) -> None:
        """Queue an item of `cost` for `client`."""
        start = max(self._now, self._ends.get(client, 0.0))
        self._ends[client] = start + cost
        self._count += 1
        heapq.heappush(self._entries, _Entry(start, self._count, client, item))

    def get(self) -> Item:
        """Take the item that is next; raises IndexError if there is none."""
        entry = heapq.heappop(self._entries)
        self._now = entry.start
        if len(self._ends) > 2 * len(self._entries) + 16:
            self._forget_idle()
        return entry.item

    def remove(self, unwanted: Callable[[Item], bool]) -> list[Item]:
        """Take out all items for which `unwanted` is true."""
        kept: list[_Entry[Item]] = []
        removed: list[Item] = []
        for entry in sorted(self._entries):
            if unwanted(entry.item):
                removed.append(entry.item)
            else:
                kept.append(entry)
        self._entries = kept
        return removed

    def _forget_idle(self) -> None:
        """Clients that have nothing queued are as good as new."""
        queued = {entry.client for entry in self._entries}
        self._ends = {client: end for client, end in self._ends.items() if client in queued}
