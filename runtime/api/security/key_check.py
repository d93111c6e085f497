"""Brute-force protection for API keys: a client that sends wrong ones is made to wait (429)."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from litestar.exceptions import TooManyRequestsException
from litestar.types import Scope

from runtime.api.requests.client import client_of
from runtime.api.security.keys import digest_of, given_key, is_among
from runtime.api.security.slow_refusals import SlowRefusals, most_waiting
from runtime.serving.monitoring.metrics import Metrics
from runtime.serving.settings import Settings

KEPT = 4096  # clients, the least recent forgotten first (LRU)
WINDOW_S = 60.0


class _Bucket(NamedTuple):
    """When the bucket of a client is full again, and the digest of its last wrong key."""

    due: float
    digest: str


class WrongKeys:
    """Wrong keys by client: a token bucket each (generic cell rate algorithm), as many in a row as in a minute."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` is in seconds."""
        self._interval_s = WINDOW_S / per_minute
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def wait_s(self, client: str) -> float:
        """How long until `client` may try a key; 0 if it may now."""
        bucket = self._buckets.get(client)
        return max(0.0, bucket.due - self._clock() - (WINDOW_S - self._interval_s)) if bucket else 0.0

    def was_last(self, client: str, digest: str) -> bool:
        """Whether this was the last wrong key of `client`: sent again it is no guess, but a client with an old key."""
        bucket = self._buckets.get(client)
        return bucket is not None and bucket.digest == digest

    def count(self, client: str, digest: str) -> None:
        """Record a wrong key by its digest."""
        now = self._clock()
        before = self._buckets.pop(client, _Bucket(now, ""))
        self._buckets[client] = _Bucket(max(now, before.due) + self._interval_s, digest)
        while len(self._buckets) > KEPT or next(iter(self._buckets.values())).due < now:
            self._buckets.popitem(last=False)


class KeyCheck:
    """Compares keys. A client that sent too many wrong ones gets no word on any other, right or wrong.

    Else a right guess would tell itself from the wrong ones. A key that was right from that client before goes on
    working: whoever guesses behind the same address shuts nobody out.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        """The limit is that of the settings."""
        self._proxies = settings.trusted_proxies
        self._metrics = metrics
        self._wrong = WrongKeys(settings.wrong_keys)
        self._proven: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._refusals = SlowRefusals(most=most_waiting(settings.max_connections))

    async def before_refusal(self, scope: Scope) -> None:
        """Wait for a while if the client of a request was refused very often."""
        await self._refusals.wait(self._client(scope))

    def is_proven(self, digests: frozenset[str], scope: Scope, api_key: str, authorization: str) -> bool:
        """Whether a request carries a key of `digests` that was right from its client before; counts nothing."""
        digest = digest_of(given_key(api_key, authorization))
        return is_among(digests, digest) and (self._client(scope), digest) in self._proven

    def is_right(self, digests: frozenset[str], scope: Scope, api_key: str, authorization: str) -> bool:
        """Whether a request carries a key of `digests`. Raises TooManyRequestsException for a client that must wait."""
        given = given_key(api_key, authorization)
        if not given:
            return False
        client, digest = self._client(scope), digest_of(given)
        right = is_among(digests, digest)
        if right and (client, digest) in self._proven:
            self._proven.move_to_end((client, digest))
            return True
        if not right and self._wrong.was_last(client, digest):
            return False
        self._refuse_hasty(client)
        if right:
            self._prove(client, digest)
        else:
            self._wrong.count(client, digest)
        return right

    def _client(self, scope: Scope) -> str:
        return client_of(scope, self._proxies) or ""

    def _refuse_hasty(self, client: str) -> None:
        wait_s = math.ceil(self._wrong.wait_s(client))
        if wait_s:
            self._metrics.rejections.labels("wrong_keys").inc()
            raise TooManyRequestsException(
                f"too many wrong keys came from this address; try again in {wait_s} s",
                headers={"retry-after": str(wait_s)},
            )

    def _prove(self, client: str, digest: str) -> None:
        self._proven[client, digest] = None
        while len(self._proven) > KEPT:
            self._proven.popitem(last=False)
