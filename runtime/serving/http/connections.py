"""Connection limits: deadlines for requests' heads, idle time-outs, and a cap with eviction of the oldest idle one.

One pass a second over the oldest of each kind takes the place of a timer for each connection.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from time import monotonic
from typing import Protocol

from runtime.host.file_limit import raise_file_limit
from runtime.host.memory_limit import available_memory
from runtime.serving.monitoring.metrics import Metrics

log = logging.getLogger(__name__)

LOG_INTERVAL_S = 60.0
FILE_SHARE = 3 / 4  # of the open files: the rest is for models, stores, libraries, and connections just accepted
MEMORY_SHARE, CONNECTION_BYTES = 1 / 8, 16 * 1024  # what connections may take of the memory, and one of them
MOST_CONNECTIONS = 8192
# An idle connection is kept for longer than nginx and AWS's balancers keep theirs (60 s): it is they who end it then,
# and none sends a request into a connection that is just being closed.
KEEP_ALIVE_S = 75.0
LINGER_S = 30.0  # a refused upload is read and dropped for so long
LINGER_BYTES_S = 32 * 2**20  # of all refused uploads, bytes/s: to read without end would take the event loop
HEADS_BYTES = 8 * 2**20  # of all heads that are not complete
STALL_S = 60.0  # a client that does not read its answer is waited for so long
UNREAD_BYTES = 16 * 2**20  # of all answers whose clients do not read them


class Connection(Protocol):
    """One connection, as its limits see it."""

    def expire(self) -> None:
        """The deadline of its state has passed: refuse what is half there, or close."""

    def drop(self) -> None:
        """Close at once: its place is needed."""


class _Sizes:
    """Bytes in memory by connection, and their sum."""

    def __init__(self) -> None:
        self.of: dict[Connection, int] = {}
        self.total = 0

    def put(self, connection: Connection, size_bytes: int) -> None:
        self.total += size_bytes - self.of.get(connection, 0)
        self.of[connection] = size_bytes

    def forget(self, connection: Connection) -> None:
        self.total -= self.of.pop(connection, 0)


class Connections:
    """The open connections by what they wait for. For the event loop only.

    They are `waiting` for (the rest of) a head or of a body that was refused, `idle` between two requests, `lingering`
    after a refusal, or `stalled` while the client does not read; else busy.
    """

    def __init__(
        self,
        metrics: Metrics,
        *,
        most: int,
        head_s: float,
        give_up_slowest: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """At most `most` connections; a head must arrive within `head_s` seconds.

        `give_up_slowest` ends the slowest upload where all connections are busy, and says whether there was one.
        """
        self.most = most
        self._metrics = metrics
        self._give_up_slowest = give_up_slowest
        self._clock = clock
        self._heads = _Sizes()
        self._waiting: dict[Connection, float] = {}
        self._idle: dict[Connection, float] = {}
        self._lingering: dict[Connection, float] = {}
        self._stalled: dict[Connection, float] = {}
        self._unread = _Sizes()
        # What nobody loses comes first: the order in which the cap takes places away.
        self._states = (
            (self._lingering, LINGER_S),
            (self._waiting, head_s),
            (self._stalled, STALL_S),
            (self._idle, KEEP_ALIVE_S),
        )
        self._logged: dict[str, float] = {}
        self._lingers_until = 0.0

    def opened(self, connection: Connection, open_: Collection[object]) -> None:
        """A new connection waits for its first byte; with too many of `open_`, the oldest idle one is closed."""
        self._waiting[connection] = self._clock()
        if len(open_) > self.most:
            self.limit_reached("connections", f"{self.most} connections are open; the oldest idle one is closed")
            self._evict(connection)

    def head_arrives(self, connection: Connection, size_bytes: int) -> None:
        """`size_bytes` of a head have arrived: the rest has its deadline from the first of them."""
        self._idle.pop(connection, None)
        if connection not in self._heads.of:
            self._waiting.pop(connection, None)
            self._waiting[connection] = self._clock()
        self._heads.put(connection, size_bytes)
        if self._heads.total > HEADS_BYTES:
            self.limit_reached("head_size", "unfinished heads fill their memory; the largest is dropped")
            largest = max(self._heads.of, key=self._heads.of.__getitem__)
            self.closed(largest)
            largest.drop()

    def request_begun(self, connection: Connection) -> None:
        """A head is complete: the connection is busy."""
        self._idle.pop(connection, None)
        if self._waiting.pop(connection, None) is not None:
            self._heads.forget(connection)

    def response_complete(self, connection: Connection) -> None:
        """The connection is idle."""
        self._idle[connection] = self._clock()

    def body_refused(self, connection: Connection) -> None:
        """The response is complete, and the rest of the short request is read and dropped."""
        self._waiting[connection] = self._clock()

    def lingers(self, connection: Connection) -> None:
        """The connection is closed in stages."""
        self.closed(connection)
        self._lingering[connection] = self._clock()

    def pause_s(self, dropped_bytes: int) -> float:
        """How long to read no further from a lingering connection of which so much was dropped just now, in seconds."""
        now = self._clock()
        self._lingers_until = max(now, self._lingers_until) + dropped_bytes / LINGER_BYTES_S
        return self._lingers_until - now

    def stalls(self, connection: Connection, unread_bytes: int) -> None:
        """The client does not read its answer, of which so much is left in memory."""
        self._stalled[connection] = self._clock()
        self._unread.put(connection, unread_bytes)
        while self._unread.total > UNREAD_BYTES:
            self.limit_reached("unread_answers", "answers that nobody reads fill their memory; the oldest is dropped")
            oldest = next(iter(self._unread.of))
            self.closed(oldest)
            oldest.drop()

    def resumes(self, connection: Connection) -> None:
        """The client reads again."""
        self._stalled.pop(connection, None)
        self._unread.forget(connection)

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""
        for state, _ in self._states:
            state.pop(connection, None)
        self._unread.forget(connection)
        self._heads.forget(connection)

    def sweep(self) -> None:
        """Expire the connections whose deadline has passed."""
        now = self._clock()
        for state, seconds in self._states:
            while state:
                oldest, since = next(iter(state.items()))
                if now - since < seconds:
                    break
                del state[oldest]
                oldest.expire()

    def limit_reached(self, reason: str, what: str) -> None:
        """Count it, and log it at most once a minute."""
        self._metrics.connections_refused.labels(reason).inc()
        now = self._clock()
        if now - self._logged.get(reason, -LOG_INTERVAL_S) >= LOG_INTERVAL_S:
            self._logged[reason] = now
            log.warning("%s (logged at most once a minute)", what)

    def _evict(self, newcomer: Connection) -> None:
        for state, _ in self._states:
            oldest = next((one for one in state if one is not newcomer), None)
            if oldest is not None:
                del state[oldest]
                oldest.drop()
                return
        if not self._give_up_slowest():
            self.closed(newcomer)
            newcomer.drop()


def default_limit() -> int:
    """How many connections the open files and the memory of this process allow; raises the soft limit of files."""
    files, memory = raise_file_limit(), available_memory()
    by_files = MOST_CONNECTIONS if files is None else int(files * FILE_SHARE)
    by_memory = MOST_CONNECTIONS if memory is None else int(memory * MEMORY_SHARE / CONNECTION_BYTES)
    return max(8, min(MOST_CONNECTIONS, by_files, by_memory))
