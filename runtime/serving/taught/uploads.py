"""Upload of taught photos in the background: what is to be done is noted on disk, so that a restart goes on with it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from runtime.errors import Refusal
from runtime.host.atomic import remove_abandoned, whole_file
from runtime.host.thread_priority import lower_thread_priority
from runtime.names import NOT_JSON, Label, ModelName, Sha256, is_name
from runtime.serving.taught.photos import TaughtPhoto, remove_photos, send_photos
from runtime.serving.versions.disk import on_disk
from runtime.store import Denied, Store

NICENESS = 19  # whoever waits for an answer goes first
LONGEST_WAIT_S = 3600.0
SENT = "sent"  # below the folder: which dataset's photos are in the data store, by product
REMEDY = "docs/teach.md says what its key must be allowed to do"

log = logging.getLogger(__name__)


class _Photo(msgspec.Struct, frozen=True, array_like=True):
    label: Label
    sha256: Sha256
    file: str


class _Job(msgspec.Struct, frozen=True):
    """What is to be sent; None: what was sent of the dataset is to be removed."""

    product: ModelName
    dataset: str
    photos: list[_Photo] | None


class _Sent(msgspec.Struct, frozen=True):
    """Whose photos were sent for a product."""

    dataset: str


class TaughtPhotos:
    """Sends the photos of each product to the data store. Of several orders for one product the last counts."""

    def __init__(self, store: Store, folder: Path, *, retry_s: float) -> None:
        """`folder` keeps what is to be sent, over restarts; a store that is away is asked again after `retry_s`."""
        self._store = store
        self._folder = folder
        self._retry_s = retry_s
        self._troubles: dict[str, str] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="taught-photos", daemon=True)

    @property
    def troubles(self) -> list[str]:
        """Why photos are not in the data store yet, a sentence for each product."""
        return list(self._troubles.values())

    def trouble_of(self, product: str) -> str | None:
        """Why the photos of a product are not in the data store yet; None if they are, or are on their way."""
        return self._troubles.get(product)

    def is_waiting(self, product: str) -> bool:
        """Whether photos of a product are still to be sent."""
        return self._note_of(product).exists()

    def dataset_of(self, product: str) -> str | None:
        """The dataset whose photos were sent for a product from here, or are to be; None if none were."""
        for note in (self._note_of(product), self._folder / SENT / f"{product}.json"):
            with suppress(OSError, *NOT_JSON):
                return msgspec.json.decode(note.read_bytes(), type=_Sent).dataset
        return None

    def start(self) -> None:
        """Start sending, also what an earlier process was told to."""
        remove_abandoned(self._folder)
        self._thread.start()

    def stop(self) -> None:
        """Stop after the photo that is being sent; the rest is sent after the next start."""
        self._stopped = True
        self._wake.set()

    def send_later(self, product: str, dataset: str, photos: Iterable[TaughtPhoto]) -> None:
        """Note that these, and no others, are the photos of a product; returns at once. Raises DiskRefused."""
        listed = [_Photo(photo.label, photo.sha256, str(photo.file.absolute())) for photo in photos]
        self._order(_Job(product, dataset, listed))

    def forget(self, dataset: str) -> None:
        """Have removed what was sent of a dataset, and send no more of it; returns at once. Raises DiskRefused."""
        for note in [*self._notes(), *sorted((self._folder / SENT).glob("*.json"))]:
            with suppress(OSError, *NOT_JSON):
                if msgspec.json.decode(note.read_bytes(), type=_Sent).dataset == dataset:
                    self._order(_Job(note.name.removesuffix(".json"), dataset, None))

    def send(self) -> bool:
        """Send what is noted; returns whether that is done. What failed is in `troubles`."""
        done = True
        for note in self._notes():
            if self._stopped:
                return False
            done &= self._send(note)
        return done

    def _run(self) -> None:
        lower_thread_priority(NICENESS)
        wait_s = self._retry_s
        while not self._stopped:
            self._wake.clear()
            done = self.send()
            woken = self._wake.wait(None if done else wait_s)
            wait_s = self._retry_s if done or woken else min(2 * wait_s, LONGEST_WAIT_S)

    def _send(self, note: Path) -> bool:
        product = note.name.removesuffix(".json")
        try:
            data = note.read_bytes()
            job = msgspec.json.decode(data, type=_Job)
        except (OSError, *NOT_JSON) as error:
            log.warning("%s: cannot be read (%s); serve the model again to send its photos", note, error)
            with suppress(OSError):
                note.unlink()
            return True
        try:
            self._carry_out(job)
        except Refusal as error:
            self._fail(product, f"{error}; {REMEDY}" if isinstance(error, Denied) else str(error))
            return False
        except Exception:  # a bug must not end the thread
            log.exception("the photos of %s could not be sent", product)
            self._fail(product, "the appliance failed; its log says why")
            return False
        self._troubles.pop(product, None)
        with self._lock, suppress(OSError):
            if note.read_bytes() == data:  # else there is a later order
                note.unlink()
        return True

    def _carry_out(self, job: _Job) -> None:
        """Raises StoreError, SyncError, OtherOrigin."""
        record = self._folder / SENT / f"{job.product}.json"
        if job.photos is None:
            if remove_photos(self._store, job.product, job.dataset):
                log.info("removed the photos of %s from %s", job.product, self._store.uri)
            record.unlink(missing_ok=True)
            return
        photos = [TaughtPhoto(photo.label, photo.sha256, Path(photo.file)) for photo in job.photos]
        if sent := send_photos(self._store, job.product, job.dataset, photos):
            log.info("sent %d photos of %s to %s", sent, job.product, self._store.uri)
        with on_disk():
            record.parent.mkdir(exist_ok=True)
            with whole_file(record) as part:
                part.write_bytes(msgspec.json.encode(_Sent(job.dataset)))

    def _fail(self, product: str, why: str) -> None:
        trouble = f"the photos of {product} are not in the data store: {why}"
        if product not in self._troubles:
            log.warning("%s", trouble)
        self._troubles[product] = trouble

    def _order(self, job: _Job) -> None:
        with on_disk():
            self._folder.mkdir(parents=True, exist_ok=True)
            with self._lock, whole_file(self._note_of(job.product)) as part:
                part.write_bytes(msgspec.json.encode(job))
        self._troubles.pop(job.product, None)
        self._wake.set()

    def _notes(self) -> list[Path]:
        return sorted(self._folder.glob("*.json"))

    def _note_of(self, product: str) -> Path:
        if not is_name(product):
            raise ValueError(f"{product!r} is no product")
        return self._folder / f"{product}.json"
