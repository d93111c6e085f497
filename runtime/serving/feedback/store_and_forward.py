"""Store and forward: write corrected photos to the store, or spool them on disk while the store is unreachable."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from runtime.names import DEFAULT_PRODUCT
from runtime.serving.feedback.correction import (
    FEEDBACK,
    MAX_PHOTO_BYTES,
    RECORD,
    Correction,
    is_recorded,
    is_recorded_earlier,
    name_of,
    present_name,
    write_correction,
)
from runtime.serving.feedback.limits import SPOOL_RETRY_S, FeedbackFull, Limits, NotKept, SpoolFailed
from runtime.serving.feedback.review_counter import ReviewCounter
from runtime.serving.feedback.review_queue import Reservation, ReviewQueue
from runtime.serving.monitoring.metrics import Metrics
from runtime.store import Conflict, Entry, Store, StoreError
from runtime.store.folder import FolderStore

COUNT_S = 300.0  # other appliances write into the store, too, and reviewers empty the queue
FIRST_COUNT_S = 2.0  # how long a request waits for the first count; of most stores it takes a moment
STRIPES = 64

log = logging.getLogger(__name__)


class Receipt(msgspec.Struct, frozen=True):
    """The receipt of a corrected photo, and whether it is in the store or spooled; `id` is its SHA-256."""

    id: str
    label: str
    stored: Literal["store", "spool"]


class Feedback:
    """Keeps corrected photos within their quotas. Idempotent: the same photo and label are kept once."""

    def __init__(
        self, store: Store, spool: Path, metrics: Metrics, *, retry_s: float, limits: Limits | None = None
    ) -> None:
        """`spool` is a folder of this host; photos that an earlier process left there are sent, too."""
        limits = limits or Limits()
        self._store = store
        self._spool = FolderStore(spool)
        self._metrics = metrics
        self._retry_s = retry_s
        self._waiting = ReviewQueue(limits, metrics)
        self._counter = ReviewCounter(store, limits.of_all, self._alone_with)
        self._counted = threading.Event()
        self._changed = threading.Event()
        self._count_again_at = 0.0
        self._uncounted = False
        self.spooled = 0
        self._lock = threading.Lock()
        self._stripes = [threading.Lock() for _ in range(STRIPES)]
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feedback-sender", daemon=True)

    def start(self) -> None:
        """Start sending spooled photos whenever the store is reachable, and counting those that wait for review."""
        self._spool.remove_abandoned()
        with self._lock:
            self._count_spooled()
        self._waiting.end_count(self._waiting_here())
        self._thread.start()

    def stop(self) -> None:
        """Stop sending; spooled photos stay on disk."""
        self._stopped.set()

    def reserve(
        self,
        photo: bytes,
        label: str,
        predicted: str | None = None,
        version: str | None = None,
        *,
        client: str,
        product: str = DEFAULT_PRODUCT,
    ) -> Reservation:
        """Reserve room for a photo from `client`, to be released; a photo that is stored already needs none.

        `product` is the name of the model whose label it is. May block on the store. Raises FeedbackFull, ClientLimit.
        """
        if self._thread.is_alive():
            self._counted.wait(FIRST_COUNT_S)
        received = datetime.now(UTC).isoformat(timespec="seconds")
        correction = Correction(hashlib.sha256(photo).hexdigest(), label, predicted, version, received, product)
        try:
            return self._waiting.reserve(correction, len(photo), client)
        except NotKept as refusal:
            if self._is_there(correction):
                return Reservation(correction, len(photo))
            if isinstance(refusal, FeedbackFull):
                self._changed.set()  # perhaps a reviewer has made room meanwhile
            self._metrics.feedback.labels(refusal.outcome).inc()
            raise

    def release(self, room: Reservation) -> None:
        """Release a reservation at the end of its request."""
        self._waiting.release(room)

    def keep(self, room: Reservation, photo: bytes, format_: str) -> Receipt:
        """Keep a photo of the Pillow format `format_`; raises SpoolFailed if neither store nor disk takes it."""
        correction = room.correction
        try:
            self._write(self._store, room, photo, format_)
        except StoreError as error:
            log.warning("%s; spooling the corrected photo on this host", error)
            self._keep_here(room, photo, format_)
            self._metrics.feedback.labels("spooled").inc()
            return Receipt(correction.sha256, correction.label, "spool")
        self._metrics.feedback.labels("stored").inc()
        return Receipt(correction.sha256, correction.label, "store")

    def send(self) -> int:
        """Move spooled files to the store; returns how many. Raises StoreError if it is unreachable."""
        sent = 0
        with self._lock:
            # A photo before its record, so that each record has its photo.
            for key in sorted(self._spooled(), key=lambda key: (key.endswith(RECORD), key)):
                with self._alone_with(name_of(key)), suppress(Conflict):  # sent before, and perhaps reviewed since
                    if not is_recorded_earlier(self._store, name_of(key)):
                        self._store.write(key, self._spool.read(key, max_bytes=MAX_PHOTO_BYTES)[0], replaces=None)
                self._spool.delete(key)
                sent += 1
            self._count_spooled()
        return sent

    def count(self) -> None:
        """Count the photos that wait here and in the store. Raises StoreError or OSError; then the last count holds."""
        self._changed.clear()
        self._waiting.begin_count()
        # The spool first: what is sent on between the two is found twice rather than not at all.
        here = self._waiting_here()
        self._waiting.end_count(self._counter.count() | here)
        if self._counter.doubtful:
            self._changed.set()

    @property
    def waiting(self) -> int:
        """How many photos wait for review, by the last count."""
        return self._waiting.photos

    def recount(self) -> None:
        """Count again soon: somebody has reviewed."""
        self._changed.set()

    def _run(self) -> None:
        with suppress(StoreError):
            self._store.remove_abandoned(f"{FEEDBACK}/")
        while not self._stopped.is_set():
            if self._changed.is_set() or time.monotonic() >= self._count_again_at:
                self._try_to_count()
            self._try_to_send()
            self._stopped.wait(self._retry_s)

    def _try_to_count(self) -> None:
        try:
            self.count()
        except (StoreError, OSError) as error:
            self._changed.set()
            log.log(
                logging.DEBUG if self._uncounted else logging.WARNING,
                "%s; until then only the corrections that this process keeps are counted",
                error,
            )
            self._uncounted = True
        else:
            self._uncounted = False
            self._count_again_at = time.monotonic() + COUNT_S
        finally:
            self._counted.set()

    def _try_to_send(self) -> None:
        try:
            sent = self.send()
            if sent:
                log.info("sent %d spooled files to %s", sent, self._store.uri)
        except StoreError as error:
            log.debug("%s", error)

    def _keep_here(self, room: Reservation, photo: bytes, format_: str) -> None:
        with self._lock:
            try:
                self._write(self._spool, room, photo, format_)
            except StoreError as error:
                self._metrics.feedback.labels(SpoolFailed.outcome).inc()
                raise SpoolFailed(f"the photo can be kept nowhere ({error}); try later", SPOOL_RETRY_S) from error
            self._count_spooled()

    def _write(self, store: Store, room: Reservation, photo: bytes, format_: str) -> None:
        with self._alone_with(room.correction.name):
            self._changed.set()
            if write_correction(store, photo, format_, room.correction):
                self._waiting.keep(room)

    def _is_there(self, correction: Correction) -> bool:
        with suppress(StoreError):
            return is_recorded(self._store, correction.name)
        return False

    @contextmanager
    def _alone_with(self, name: str) -> Iterator[None]:
        """Keep out others of this process that would write or remove what has this name."""
        with self._stripes[hash(name) % STRIPES]:
            yield

    def _spooled(self) -> Iterator[str]:
        return (entry.key for entry in self._spool.list(f"{FEEDBACK}/"))

    def _waiting_here(self) -> dict[str, int]:
        return {present_name(name_of(entry.key)): entry.size_bytes for entry in self._photos_here()}

    def _photos_here(self) -> Iterator[Entry]:
        return (entry for entry in self._spool.list(f"{FEEDBACK}/") if not entry.key.endswith(RECORD))

    def _count_spooled(self) -> None:
        """To be called with the lock held: else an older count may overwrite a newer one."""
        self.spooled = sum(1 for _ in self._photos_here())
        self._metrics.feedback_spooled.set(self.spooled)
