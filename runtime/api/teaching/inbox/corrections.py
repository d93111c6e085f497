"""The corrections in the data store that wait for a reviewer, read again after a few seconds."""

from __future__ import annotations

import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import msgspec

from runtime.serving.feedback.correction import (
    MAX_PHOTO_BYTES,
    Correction,
    Verdict,
    name_of,
    present_name,
    write_correction,
)
from runtime.serving.feedback.review import READERS, Corrected, ReviewError, pairs, read_record, unique, write_verdict
from runtime.store import Entry, Missing, Store

FRESH_S = 5.0  # how long a list is told again


class Listed(NamedTuple):
    """Corrections that wait, by id, the newest first; `unreadable` says of one record why it cannot be read."""

    by_id: dict[str, Corrected]
    unreadable: str


class WaitingCorrections:
    """Thread-safe. Records that have not changed are not read again."""

    def __init__(self, store: Store) -> None:
        """Those in the data store `store`; nothing is asked of it yet."""
        self._store = store
        self._lock = threading.Lock()
        self._waiting: dict[Entry, Corrected] = {}
        self._reviewed: set[int] = set()  # hashes of records: there may be many
        self._listed = Listed({}, "")
        self._listed_at: float | None = None
        self._stale = True

    @property
    def count(self) -> int | None:
        """How many there were at the last look, without those reviewed here since; None before the first."""
        return None if self._listed_at is None else len(self._listed.by_id)

    def all(self, *, fresh: bool = False) -> Listed:
        """Those that wait, as they were a few seconds ago at most, or are now. Raises StoreError."""
        with self._lock:
            aged = self._listed_at is None or time.monotonic() > self._listed_at + FRESH_S
            if fresh or aged or self._stale:
                self._stale = False  # before the look: what is reviewed meanwhile asks for another
                self._listed = self._read()
                self._listed_at = time.monotonic()
            return self._listed

    def photo(self, one: Corrected) -> bytes:
        """The photo, empty if it is no longer the one that was corrected. Raises Missing, StoreError."""
        data, _ = self._store.read(one.photo, max_bytes=MAX_PHOTO_BYTES)
        return data if hashlib.sha256(data).hexdigest() == one.sha256 else b""

    def review(self, one: Corrected, verdict: Verdict) -> None:
        """Say what becomes of a correction, wherever it is kept; raises StoreError."""
        for each in self._same(one):
            write_verdict(self._store, each, verdict)
        self._leave_out(one)

    def accept(self, photo: bytes, format_: str, correction: Correction) -> str:
        """Write a photo with a label that a reviewer gave it; returns its name in the store. Raises StoreError."""
        accepted = msgspec.structs.replace(correction, reviewed="accepted")
        if not write_correction(self._store, photo, format_, accepted):
            for each in self._named(accepted.name):
                write_verdict(self._store, each, "accepted")
        self._stale = True
        return accepted.name

    def delete(self, one: Corrected) -> None:
        """Delete a correction and its photo, wherever they are kept; raises StoreError."""
        for each in self._same(one):
            self.delete_named(name_of(each.photo))
        self._leave_out(one)

    def delete_named(self, name: str) -> None:
        """Delete what is kept under the name of a correction: first the record, so that nothing is trained on it."""
        keys = [entry.key for entry in self._store.list(f"{name}.")]
        for key in sorted(keys, key=lambda key: not key.endswith(".json")):
            self._store.delete(key)
        self._stale = True

    def _leave_out(self, one: Corrected) -> None:
        """It waits no more; the next look asks the store again."""
        with self._lock:
            left = {id_: each for id_, each in self._listed.by_id.items() if each.identity != one.identity}
            self._listed = Listed(left, self._listed.unreadable)
            self._stale = True

    def _read(self) -> Listed:
        photos, records = pairs(self._store)
        new = [entry for entry in records if entry not in self._waiting and hash(entry) not in self._reviewed]
        unreadable, there = "", set(records)
        known = {entry: one for entry, one in self._waiting.items() if entry in there}
        with ThreadPoolExecutor(READERS) as pool:
            for entry, result in zip(new, pool.map(lambda one: self._try(photos, one), new), strict=True):
                if isinstance(result, Corrected):
                    known[entry] = result
                elif result:
                    unreadable = result
        done = {one.identity for one in known.values() if one.reviewed}
        self._reviewed |= {hash(entry) for entry, one in known.items() if one.reviewed}
        self._waiting = {entry: one for entry, one in known.items() if not one.reviewed}
        waiting = [one for one in unique(self._waiting.values()) if one.identity not in done]
        return Listed({identity_of(one): one for one in reversed(waiting)}, unreadable)

    def _try(self, photos: dict[str, str], entry: Entry) -> Corrected | str:
        try:
            return read_record(self._store, photos[name_of(entry.key)], entry.key)
        except Missing:  # deleted meanwhile
            return ""
        except ReviewError as error:
            return str(error)

    def _same(self, one: Corrected) -> list[Corrected]:
        """What is kept of a correction: earlier releases may have kept it, too."""
        return [each for each in self._waiting.values() if each.identity == one.identity] or [one]

    def _named(self, name: str) -> list[Corrected]:
        photos, records = pairs(self._store)
        return [
            read_record(self._store, photos[name_of(entry.key)], entry.key)
            for entry in records
            if present_name(name_of(entry.key)) == name
        ]


def identity_of(one: Corrected) -> str:
    """What the inbox calls a correction: the same photo may have been corrected to several labels."""
    return hashlib.sha256("/".join(one.identity).encode()).hexdigest()
