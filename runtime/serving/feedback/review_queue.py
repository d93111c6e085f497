"""The review queue: corrected photos that wait for review, counted, kept since, and reserved by open requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from runtime.serving.feedback.client_quotas import Charge, ClientQuotas
from runtime.serving.feedback.correction import Correction, folder_of
from runtime.serving.feedback.limits import Amount, FeedbackFull, Limits
from runtime.serving.monitoring.metrics import Metrics


@dataclass(frozen=True)
class Reservation:
    """A reservation for one corrected photo; `held` is False for a photo that is stored already.

    `charge` is None if another request was charged for the same photo.
    """

    correction: Correction
    size_bytes: int
    held: bool = False
    charge: Charge | None = None


@dataclass
class _Coming:
    """A photo that is being received, in `requests` at once."""

    size_bytes: int
    requests: int = 1


class ReviewQueue:
    """Photos that wait for review, by name; the same photo and label count once. Thread-safe.

    The limit of all clients holds for each product: what waits of one takes no room from another.
    """

    def __init__(self, limits: Limits, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing is counted yet. `clock` (s) is what the day of the clients' shares is measured by."""
        self._limit = limits.of_all
        self._shares = ClientQuotas(limits.of_a_client, clock)
        self._metrics = metrics
        self._lock = threading.Lock()
        self._sizes: dict[str, int] = {}
        self._size_bytes = 0
        self._kept_since: dict[str, int] = {}  # the last count began, which may have missed them
        self._coming: dict[str, _Coming] = {}

    @property
    def photos(self) -> int:
        """How many wait, by the last count."""
        return len(self._sizes)

    def reserve(self, correction: Correction, size_bytes: int, client: str) -> Reservation:
        """Reserve room for a photo, to be released. Raises FeedbackFull or ClientLimit."""
        name = correction.name
        with self._lock:
            if name in self._sizes:
                return Reservation(correction, size_bytes)
            if name in self._coming:
                self._coming[name].requests += 1
                return Reservation(correction, size_bytes, held=True)
            held = self._held(correction.product)
            if not self._limit.takes(held, size_bytes):
                raise FeedbackFull.of(held)
            charge = self._shares.take(client, size_bytes)
            self._coming[name] = _Coming(size_bytes)
            return Reservation(correction, size_bytes, held=True, charge=charge)

    def keep(self, room: Reservation) -> None:
        """Count the photo of a reservation as kept, in the store or in the spool."""
        name = room.correction.name
        with self._lock:
            self._size_bytes += room.size_bytes - self._sizes.get(name, 0)
            self._sizes[name] = self._kept_since[name] = room.size_bytes
            self._show()

    def release(self, room: Reservation) -> None:
        """Release the reservation at the end of its request; a photo that was not kept is refunded."""
        name = room.correction.name
        with self._lock:
            if room.held:
                self._coming[name].requests -= 1
                if not self._coming[name].requests:
                    del self._coming[name]
            if room.charge and name not in self._sizes:
                self._shares.give_back(room.charge)

    def begin_count(self) -> None:
        """Begin a count: photos kept from now on are noted, because the count may miss them."""
        with self._lock:
            self._kept_since = {}

    def end_count(self, found: Mapping[str, int]) -> None:
        """End a count, which `found` these photos: bytes by name."""
        with self._lock:
            self._sizes = {**found, **self._kept_since}
            self._size_bytes = sum(self._sizes.values())
            self._show()

    def _held(self, product: str) -> Amount:
        folder = folder_of(product)
        sizes = {name: one.size_bytes for name, one in self._coming.items()} | self._sizes
        held = [size_bytes for name, size_bytes in sizes.items() if name.startswith(folder)]
        return Amount(len(held), sum(held))

    def _show(self) -> None:
        self._metrics.feedback_waiting_photos.set(len(self._sizes))
        self._metrics.feedback_waiting_bytes.set(self._size_bytes)
