"""Photos with their right label, kept for the next training; on this host's disk while the store cannot be reached."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from runtime.metrics import Metrics
from runtime.store import Conflict, Store, StoreError
from runtime.store.folder import FolderStore

FEEDBACK = "feedback"
MAX_SPOOLED_PHOTOS = 1000
MAX_SPOOLED_BYTES = 512 * 2**20

log = logging.getLogger(__name__)


class SpoolFull(Exception):
    """The store cannot be reached and no more photos fit on this host's disk."""


class Receipt(msgspec.Struct, frozen=True):
    """Where a corrected photo is now; `id` is its SHA-256."""

    id: str
    label: str
    stored: Literal["store", "spool"]


class Correction(msgspec.Struct, frozen=True):
    """What is known of a corrected photo, beside it as `<sha256>.json`."""

    sha256: str
    label: str
    predicted: str | None
    version: str | None
    received: str


class Feedback:
    """Keeps corrected photos as `feedback/<label>/<sha256>.<format>`; the same photo and label are kept once."""

    def __init__(self, store: Store, spool: Path, metrics: Metrics, *, retry_s: float) -> None:
        """`spool` is a folder of this host; what an earlier process left there is sent on, too."""
        self._store = store
        self._spool = FolderStore(spool)
        self._metrics = metrics
        self._retry_s = retry_s
        self.spooled = 0
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="send-feedback", daemon=True)

    def start(self) -> None:
        """Send what is spooled, now and whenever the store can be reached again."""
        with self._lock:
            self._count_spooled()
        self._thread.start()

    def stop(self) -> None:
        """Stop sending; what is spooled stays."""
        self._stopped.set()

    def keep(self, photo: bytes, format_: str, label: str, *, predicted: str | None, version: str | None) -> Receipt:
        """Keep a photo of the Pillow format `format_`; raises SpoolFull where it can be kept nowhere."""
        digest = hashlib.sha256(photo).hexdigest()
        received = datetime.now(UTC).isoformat(timespec="seconds")
        correction = Correction(digest, label, predicted, version, received)
        try:
            _write(self._store, photo, format_, correction)
        except StoreError as error:
            log.warning("%s; the corrected photo waits on this host", error)
            self._keep_here(photo, format_, correction)
            self._metrics.feedback.labels("spooled").inc()
            return Receipt(digest, label, "spool")
        self._metrics.feedback.labels("stored").inc()
        return Receipt(digest, label, "store")

    def send(self) -> int:
        """Move what is spooled to the store; returns how many files. Raises StoreError where it cannot be reached."""
        sent = 0
        with self._lock:
            # A photo before its description: whoever finds the description finds the photo.
            for key in sorted(self._spooled(), key=lambda key: (key.endswith(".json"), key)):
                with suppress(Conflict):  # sent before, and perhaps reviewed since
                    self._store.write(key, self._spool.read(key)[0], replaces=None)
                self._spool.delete(key)
                sent += 1
            self._count_spooled()
        return sent

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                sent = self.send()
                if sent:
                    log.info("sent %d spooled files to %s", sent, self._store.uri)
            except StoreError as error:
                log.debug("%s", error)
            self._stopped.wait(self._retry_s)

    def _keep_here(self, photo: bytes, format_: str, correction: Correction) -> None:
        with self._lock:
            entries = list(self._spool.list(f"{FEEDBACK}/"))
            full = len(entries) >= 2 * MAX_SPOOLED_PHOTOS
            if full or sum(entry.size_bytes for entry in entries) + len(photo) > MAX_SPOOLED_BYTES:
                self._metrics.feedback.labels("refused").inc()
                raise SpoolFull(f"the store cannot be reached and {len(entries) // 2} photos wait already; try later")
            try:
                _write(self._spool, photo, format_, correction)
            except StoreError as error:
                self._metrics.feedback.labels("refused").inc()
                raise SpoolFull(f"the photo can be kept nowhere ({error}); try later") from error
            self._count_spooled()

    def _spooled(self) -> Iterator[str]:
        return (entry.key for entry in self._spool.list(f"{FEEDBACK}/"))

    def _count_spooled(self) -> None:
        """To be called with the lock held: else an older count may overwrite a newer one."""
        self.spooled = sum(not key.endswith(".json") for key in self._spooled())
        self._metrics.feedback_spooled.set(self.spooled)


def _write(store: Store, photo: bytes, format_: str, correction: Correction) -> None:
    key = f"{FEEDBACK}/{correction.label}/{correction.sha256}"
    store.write(f"{key}.{format_.lower()}", photo)
    with suppress(Conflict):  # sent before, and perhaps reviewed since
        store.write(f"{key}.json", msgspec.json.encode(correction), replaces=None)
