"""Rate limit per client: a sliding window of 24 hours over photos and bytes, in memory only."""

from __future__ import annotations

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import NamedTuple

from runtime.serving.feedback.limits import Amount, ClientLimit

DAY_S = 24 * 3600
# Photos of all clients together: some 10 MB. Beyond it the client that has been idle longest is evicted (LRU).
MAX_REMEMBERED = 50_000


class Charge(NamedTuple):
    """One photo in the window of a client; `at` is the time of the clock, in s."""

    client: str
    at: float
    size_bytes: int


class ClientQuotas:
    """Sliding-window rate limits by client. Not thread-safe."""

    def __init__(self, limit: Amount | None, clock: Callable[[], float] = time.monotonic) -> None:
        """`limit` is the quota of one client in 24 hours, None for no limit; `clock` is in seconds."""
        self._limit = limit
        self._clock = clock
        self._accounts: OrderedDict[str, deque[Charge]] = OrderedDict()  # who sent last is last
        self._remembered = 0

    @property
    def clients(self) -> int:
        """How many clients are remembered."""
        return len(self._accounts)

    def take(self, client: str, size_bytes: int) -> Charge:
        """Charge a photo to the quota of `client`. Raises ClientLimit."""
        charge = Charge(client, self._clock(), size_bytes)
        if self._limit is None:
            return charge
        self._forget(charge.at - DAY_S)
        self._check(self._limit, charge)
        self._accounts.setdefault(client, deque()).append(charge)
        self._accounts.move_to_end(client)
        self._remembered += 1
        return charge

    def give_back(self, charge: Charge) -> None:
        """Refund the charge of a photo that was not kept."""
        account = self._accounts.get(charge.client, deque())
        if charge in account:
            account.remove(charge)
            self._remembered -= 1
            if not account:
                del self._accounts[charge.client]

    def _check(self, limit: Amount, charge: Charge) -> None:
        account = self._accounts.get(charge.client, deque())
        while account and account[0].at <= charge.at - DAY_S:
            account.popleft()
            self._remembered -= 1
        sent = Amount(len(account), sum(one.size_bytes for one in account))
        if not limit.takes(sent, charge.size_bytes):
            raise ClientLimit.of(sent, _seconds_until(limit, sent, account, charge))

    def _forget(self, before: float) -> None:
        """Evict clients that have sent nothing since `before`, and the least recent ones if there are too many."""
        while self._accounts:
            client, account = next(iter(self._accounts.items()))
            crowded = self._remembered >= MAX_REMEMBERED and len(self._accounts) > 1
            if account and account[-1].at > before and not crowded:
                return
            self._remembered -= len(account)
            del self._accounts[client]


def _seconds_until(limit: Amount, sent: Amount, account: deque[Charge], charge: Charge) -> int:
    """Seconds until enough of the window has expired for `charge` to fit."""
    for one in account:
        sent = Amount(sent.photos - 1, sent.size_bytes - one.size_bytes)
        if limit.takes(sent, charge.size_bytes):
            return max(1, math.ceil(one.at + DAY_S - charge.at))
    return DAY_S  # not met: an empty account takes any photo
