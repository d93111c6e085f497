"""Limits on the message channel of open pages (socket.io): websockets at once, and sessions begun by long polling."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ui.server.page_clients import CONNECT_S, PageLimits, share


class PageSockets:
    """Channels by the address of their visitors. A page has one; anybody could open others without a page."""

    def __init__(
        self, limits: PageLimits, channels: Callable[[], int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`channels` counts those that are open, of both kinds; `clock` is in seconds."""
        self._limits = limits
        self._channels = channels
        self._clock = clock
        self._websockets: Counter[str] = Counter()
        self._polls: deque[tuple[float, str]] = deque()  # sessions that long polling began, oldest first

    def has_room(self, address: str) -> bool:
        """Whether `address` may open a websocket more."""
        most = self._limits.open + self._limits.waiting
        return self._websockets.total() < most and self._websockets[address] < share(most)

    @contextmanager
    def websocket(self, address: str) -> Iterator[None]:
        """Count a websocket for as long as it is open."""
        self._websockets[address] += 1
        try:
            yield
        finally:
            self._websockets[address] -= 1
            if not self._websockets[address]:
                del self._websockets[address]

    def begin_polling(self, address: str) -> bool:
        """Whether `address` may begin a session by long polling, which then counts."""
        now = self._clock()
        while self._polls and now - self._polls[0][0] > CONNECT_S:
            self._polls.popleft()
        mine = sum(other == address for _, other in self._polls)
        most = self._limits.waiting
        full = self._channels() >= 2 * self._limits.open + most
        if full or len(self._polls) >= most or mine >= share(most):
            return False
        self._polls.append((now, address))
        return True
