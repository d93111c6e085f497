"""Page clients: a limit on the pages that NiceGUI keeps, above all on those whose websocket is not connected yet."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from nicegui import Client

from runtime.host.memory_limit import available_memory
from runtime.serving.monitoring.metrics import Metrics

OPEN_BYTES = 384 * 1024  # of memory that one open page takes with its connection; an unconnected one takes 260 KiB
MEMORY_SHARE = 1 / 8  # of what is available at the start, for open pages
FEWEST, MOST = 16, 2000  # open pages, whatever the memory
CONNECT_S = 10.0  # by then a browser has connected the page that it loaded


class PageLimits(NamedTuple):
    """`waiting` pages may be unconnected, `open` in all; one client address may have half of either."""

    waiting: int
    open: int


class PageClients:
    """The pages that are kept, by the address of their visitors. For the event loop only."""

    def __init__(self, limits: PageLimits, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` is in seconds."""
        self._limits = limits
        self._metrics = metrics
        self._clock = clock
        self._open: dict[Client, str] = {}
        self._waiting: dict[Client, float] = {}  # since when, oldest first

    def wait_s(self, address: str) -> int:
        """Make room for one page more of `address`; 0 if there is, else in how many seconds to ask again."""
        if len(self._open) >= self._limits.open or self._count(address) >= share(self._limits.open):
            return math.ceil(CONNECT_S)
        mine = [client for client in self._waiting if self._open[client] == address]
        if len(mine) >= share(self._limits.waiting):
            left_s = CONNECT_S - (self._clock() - self._waiting[mine[0]])
            if left_s > 0:
                return math.ceil(left_s)
            self._close(mine[0])
        elif len(self._waiting) >= self._limits.waiting:
            self._close(self._oldest_of_busiest())
        return 0

    def add(self, client: Client, address: str) -> None:
        """Keep count of a page that has been drawn, until NiceGUI deletes it."""
        self._open[client], self._waiting[client] = address, self._clock()
        client.on_connect(lambda: self._waiting.pop(client, None))
        client.on_delete(lambda: self._remove(client))

    def _count(self, address: str) -> int:
        return sum(other == address for other in self._open.values())

    def _oldest_of_busiest(self) -> Client:
        """The oldest unconnected page of the address that has most of them."""
        [(busiest, _)] = Counter(self._open[client] for client in self._waiting).most_common(1)
        return next(client for client in self._waiting if self._open[client] == busiest)

    def _close(self, client: Client) -> None:
        """Give up a page: should its browser connect after all, it loads the page again by itself."""
        self._metrics.rejections.labels("page").inc()
        client.delete()

    def _remove(self, client: Client) -> None:
        self._open.pop(client, None)
        self._waiting.pop(client, None)


def page_limits(waiting: int, open_pages: int | None) -> PageLimits:
    """The limits; without `open_pages` as many as an eighth of the available memory holds; half of them may wait."""
    if open_pages is None:
        memory = available_memory()
        affordable = MOST if memory is None else int(memory * MEMORY_SHARE / OPEN_BYTES)
        open_pages = min(MOST, max(FEWEST, affordable))
    return PageLimits(min(waiting, share(open_pages)), open_pages)


def share(limit: int) -> int:
    """Half of a limit: what one client address may have of it."""
    return max(1, limit // 2)
