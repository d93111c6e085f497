"""Upload memory: request bodies are accounted for as they arrive, with a share for each client.

When memory is short, the slowest upload is given up first (slowloris). A large body whose client has no room for it
waits, unread: of several that arrive together, each would be given up for the others, and most of it read in vain.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

from runtime.host.memory_limit import available_memory
from runtime.serving.scheduling.admission import Overloaded

RATE_WINDOW_S = 2.0
GRACE_S, SMALL_BYTES = 1.0, 256 * 1024  # a small upload that has just begun is not slow yet
LEAST_BYTES, MOST_BYTES = 24 * 2**20, 128 * 2**20
MEMORY_SHARE = 1 / 8  # of what is available at the start


class Upload:
    """A request body, held while the block runs: the bytes of it that have arrived, and how fast they come."""

    def __init__(self, uploads: Uploads, client: Callable[[], str | None]) -> None:
        """`client` gives the client's address; None for a trusted proxy."""
        self.size_bytes = self.claimed_bytes = 0
        self.began = uploads.now()
        self._uploads = uploads
        self.given_up = False
        self.on_given_up: Callable[[], None] | None = None  # set while its reader waits
        self._client = client
        self._rate = 0.0
        self._updated = 0.0

    def __enter__(self) -> Upload:
        """Hold it."""
        self._uploads.hold(self)
        return self

    def __exit__(self, *_: object) -> None:
        """Release it."""
        self._uploads.release(self)

    def add(self, size_bytes: int) -> None:
        """More has arrived. Raises Overloaded: see Uploads."""
        self._uploads.add(self, size_bytes)

    def check(self) -> None:
        """Raise Overloaded if it has been given up."""
        self._uploads.check(self)

    async def claim(self, size_bytes: int, patience_s: float) -> None:
        """It will have so many bytes: wait until its client has room for it. Raises Overloaded after `patience_s`."""
        await self._uploads.claim(self, size_bytes, patience_s)

    def client(self) -> str | None:
        """The client's address, asked for when it matters."""
        return self._client()

    def received(self, size_bytes: int, now: float) -> None:
        """More has arrived, at `now` in seconds."""
        self._rate = (self.rate(now) if self._rate else 0.0) + size_bytes / RATE_WINDOW_S
        self._updated = now
        self.size_bytes += size_bytes

    def rate(self, now: float) -> float:
        """Bytes a second, exponentially weighted over about RATE_WINDOW_S."""
        return self._rate * math.exp((self._updated - now) / RATE_WINDOW_S)

    def give_up(self) -> None:
        """End it: its reader gets Overloaded."""
        self.given_up = True
        if self.on_given_up:
            self.on_given_up()


class _Waiting(NamedTuple):
    """A large body that waits for room: its client, its bytes, and what is done once there is room."""

    upload: Upload
    client: str
    size_bytes: int
    room: asyncio.Future[None]


class Uploads:
    """All request bodies in memory, bounded together and by client. For the event loop only."""

    def __init__(
        self,
        capacity_bytes: int,
        *,
        share: float,
        retry_after_s: Callable[[str | None, int], int] = lambda _client, _ahead: 1,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """One client holds at most `share` (0 to 1) of `capacity_bytes`; a single upload is always admitted.

        `retry_after_s` is asked for each that is refused, with its client and how many others of it wait for room.
        """
        self.capacity_bytes = capacity_bytes
        self._share_bytes = capacity_bytes * share
        self._retry_after_s = retry_after_s
        self._clock = clock
        self._held_bytes = 0
        self._uploads: set[Upload] = set()
        self._waiting: deque[_Waiting] = deque()

    def now(self) -> float:
        """The time in seconds."""
        return self._clock()

    @property
    def count(self) -> int:
        """How many requests hold a body in memory."""
        return len(self._uploads)

    @property
    def held_bytes(self) -> int:
        """Bytes of all bodies in memory."""
        return self._held_bytes

    def upload(self, client: Callable[[], str | None]) -> Upload:
        """A new upload, for a `with` statement; `client` gives its client's address, None for a trusted proxy."""
        return Upload(self, client)

    def hold(self, upload: Upload) -> None:
        """Count a new upload."""
        self._uploads.add(upload)

    def release(self, upload: Upload) -> None:
        """Its bytes are no longer held."""
        self._uploads.discard(upload)
        self._held_bytes -= upload.size_bytes
        if self._waiting:
            self._make_use_of_room()

    def waiting_of(self, client: str | None) -> int:
        """How many bodies of `client` wait for room."""
        return sum(each.client == client for each in self._waiting)

    async def claim(self, upload: Upload, size_bytes: int, patience_s: float) -> None:
        """Wait until the client of `upload` has room for so many bytes, after those of it that wait already.

        Its claims count for the client alone: who claims much and sends nothing takes nothing from others. Raises
        Overloaded after `patience_s`.
        """
        client = upload.client()
        if client is None or (not self.waiting_of(client) and self._has_room(client, size_bytes)):
            upload.claimed_bytes = size_bytes
            return
        waiting = _Waiting(upload, client, size_bytes, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        try:
            if patience_s > 0:
                await asyncio.wait([waiting.room], timeout=patience_s)
        finally:
            if not waiting.room.done():
                self._waiting.remove(waiting)
        if not waiting.room.done():
            raise self._overloaded("client_memory", client)

    def add(self, upload: Upload, size_bytes: int) -> None:
        """More of `upload` has arrived.

        Raises Overloaded if its client has its share, or if memory is short and no other upload is slower.
        """
        self.check(upload)
        now = self._clock()
        upload.received(size_bytes, now)
        self._held_bytes += size_bytes
        if self._held_bytes > self._share_bytes and self._held_bytes > upload.size_bytes:
            self._make_room(upload, now)

    def check(self, upload: Upload) -> None:
        """Raise Overloaded if the upload has been given up."""
        if upload.given_up:
            raise self._overloaded("slow_upload", upload.client())

    def give_up_slowest(self) -> bool:
        """End the slowest upload that is still arriving; False if there is none."""
        arriving = self._arriving()
        if arriving:
            self._give_up(_slowest(arriving, self._clock()))
        return bool(arriving)

    def _make_room(self, upload: Upload, now: float) -> None:
        client = upload.client()
        if client is not None and self._held_by(client) > max(self._share_bytes, upload.size_bytes):
            self._give_up(upload)
            raise self._overloaded("client_memory", client)
        while self._held_bytes > self.capacity_bytes:
            slowest = _slowest([*self._arriving(), upload], now)
            self._give_up(slowest)
            if slowest is upload:
                raise self._overloaded("memory", client)

    def _arriving(self) -> list[Upload]:
        return [upload for upload in self._uploads if upload.on_given_up and not upload.given_up]

    def _held_by(self, client: str) -> int:
        return sum(upload.size_bytes for upload in self._uploads if upload.client() == client)

    def _has_room(self, client: str, size_bytes: int) -> bool:
        """Whether the share of `client` holds so many bytes more; a single body always has room."""
        return self._fits(self._claimed()[client], size_bytes)

    def _claimed(self) -> Counter[str | None]:
        """Bytes that each client holds or has claimed."""
        claimed: Counter[str | None] = Counter()
        for upload in self._uploads:
            claimed[upload.client()] += max(upload.size_bytes, upload.claimed_bytes)
        return claimed

    def _fits(self, claimed_bytes: int, size_bytes: int) -> bool:
        return not claimed_bytes or claimed_bytes + size_bytes <= self._share_bytes

    def _make_use_of_room(self) -> None:
        """Let in what waits and has room now, in order of each client."""
        still: deque[_Waiting] = deque()
        claimed, blocked = self._claimed(), set[str]()
        for each in self._waiting:
            if each.client in blocked or not self._fits(claimed[each.client], each.size_bytes):
                blocked.add(each.client)
                still.append(each)
            else:
                each.upload.claimed_bytes = each.size_bytes
                claimed[each.client] += each.size_bytes
                each.room.set_result(None)
        self._waiting = still

    def _give_up(self, upload: Upload) -> None:
        self._held_bytes -= upload.size_bytes
        upload.size_bytes = upload.claimed_bytes = 0
        upload.give_up()

    def _overloaded(self, reason: str, client: str | None) -> Overloaded:
        return Overloaded(reason, self._retry_after_s(client, self.waiting_of(client)))


def _slowest(uploads: list[Upload], now: float) -> Upload:
    """The upload of the lowest rate; small ones that have just begun are spared, as long as there are others."""
    told = [each for each in uploads if now - each.began >= GRACE_S or each.size_bytes > SMALL_BYTES]
    return min(told or uploads, key=lambda upload: upload.rate(now))


def default_capacity() -> int:
    """Bytes for uploads where no setting says it: a share of the memory that is available to this process."""
    available = available_memory()
    return MOST_BYTES if available is None else int(min(MOST_BYTES, max(LEAST_BYTES, MEMORY_SHARE * available)))
