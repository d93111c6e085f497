"""Deadline for a store of models: what it may take in all, over the several calls of one poll or one change."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from runtime.host.deadline import DeadlineExceeded, within
from runtime.store import StoreError

MIN_TRANSFER_BYTES_S = 32 * 1024  # the slowest transfer of a bundle; its time is added to the deadline

T = TypeVar("T")


class PollTiming(NamedTuple):
    """Seconds between two polls of the store, and the time-out of one poll without the download of a bundle."""

    poll_s: float
    look_s: float


class StoreDeadline:
    """Seconds that a store may still take; validating and loading between its calls do not count."""

    def __init__(self, uri: str, seconds: float) -> None:
        """`uri` names the store in errors."""
        self._uri = uri
        self._seconds = self._left = seconds

    def call(self, call: Callable[[], T], *, transfer_bytes: int = 0) -> T:
        """Return or raise what `call` does, which asks the store and moves `transfer_bytes`; raises StoreError."""
        began, transfer_s = time.monotonic(), transfer_bytes / MIN_TRANSFER_BYTES_S
        try:
            return within(self._left + transfer_s, call)
        except DeadlineExceeded as error:
            raise StoreError(
                f"{self._uri}: did not answer within {self._seconds + transfer_s:.3g} s (DANDELION_LOOK_S); look at "
                "the server and the network"
            ) from error
        finally:
            self._left -= max(0.0, time.monotonic() - began - transfer_s)
