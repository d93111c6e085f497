"""Exponential backoff: retry what was refused after a delay that doubles with each attempt."""

from __future__ import annotations

import time
from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

Key = TypeVar("Key", bound=Hashable)

LONGEST_WAIT_S = 3600.0
MAX_REFUSED = 20  # remembered at most, so that an endless stream of bad versions does not fill the memory


class _Wait(NamedTuple):
    """Why a key was refused, when (s, monotonic) it may be retried, and the number of retries so far."""

    reason: str
    again_at: float
    tries: int


class Backoff(Generic[Key]):
    """Refused keys and their retry delays: `first_wait_s`, doubled after each attempt, LONGEST_WAIT_S at most.

    The newest MAX_REFUSED are remembered.
    """

    def __init__(self, first_wait_s: float) -> None:
        """Start with no refused keys."""
        self._first_wait_s = first_wait_s
        self._refused: dict[Key, _Wait] = {}

    def items(self) -> list[tuple[Key, str]]:
        """The refused keys, each with its reason."""
        return [(key, wait.reason) for key, wait in list(self._refused.items())]

    def is_due(self, key: Key) -> bool:
        """Whether `key` may be tried now: it was never refused, or its delay is over."""
        wait = self._refused.get(key)
        return wait is None or time.monotonic() >= wait.again_at

    def refuse(self, key: Key, reason: str) -> bool:
        """Refuse `key` until its delay is over; returns whether this is its first refusal."""
        before = self._refused.pop(key, None)
        tries = before.tries + 1 if before else 0
        wait_s = min(LONGEST_WAIT_S, self._first_wait_s * 2 ** min(tries, 20))
        self._refused[key] = _Wait(reason, time.monotonic() + wait_s, tries)
        for oldest in list(self._refused)[:-MAX_REFUSED]:
            self.forgive(oldest)
        return before is None

    def forgive(self, key: Key) -> None:
        """Forget the refusal of `key`."""
        self._refused.pop(key, None)
