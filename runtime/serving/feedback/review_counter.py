"""Count the corrected photos that wait for review, and remove orphans that killed processes left in the store."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import groupby
from typing import NamedTuple

import msgspec

from runtime.serving.feedback.correction import (
    FEEDBACK,
    MAX_RECORD_BYTES,
    RECORD,
    is_ours,
    name_of,
    present_name,
    product_of,
)
from runtime.serving.feedback.limits import Amount
from runtime.store import Denied, Entry, Missing, Store, TooLarge

ALONE_S = 3600  # no request takes so long between a photo and its record

log = logging.getLogger(__name__)


class _Pair(NamedTuple):
    """The photo and the record of one name; None for a missing one."""

    name: str
    photo: Entry | None
    record: Entry | None


class _Verdict(msgspec.Struct):
    reviewed: str | None = None


class ReviewCounter:
    """Counts repeatedly, and reads only new or changed records. Not thread-safe."""

    def __init__(
        self, store: Store, enough: Amount, alone_with: Callable[[str], AbstractContextManager[object]]
    ) -> None:
        """Stops reading a product's records at `enough`. `alone_with(name)` locks a name against this process."""
        self._store = store
        self._enough = enough
        self._alone_with = alone_with
        self._waits: dict[int, bool] = {}  # by the record's hash: 100 000 entries as they are would take 30 MB
        self._old: frozenset[Entry] = frozenset()
        self._may_remove = True

    @property
    def doubtful(self) -> bool:
        """Whether the next count may remove orphans. Not this one: the clock of another host may be an hour behind."""
        return bool(self._old)

    def count(self) -> dict[str, int]:
        """Bytes of the waiting photos by name, `enough` of each product at most. Raises StoreError.

        A photo without a record counts, too, until it is removed.
        """
        found: dict[str, int] = {}
        held: dict[str, Amount] = {}
        seen, alone = set[int](), list[Entry]()
        for name, photo, record in _pairs(self._store.list(f"{FEEDBACK}/")):
            if photo and record:
                seen.add(hash(record))
            elif (one := photo or record) and is_ours(name):
                alone.append(one)
            photos, size_bytes = held.get(product := product_of(name), Amount(0, 0))
            full = photos >= self._enough.photos or size_bytes >= self._enough.size_bytes
            if photo and (self._is_waiting(record, full=full) if record else is_ours(name)):
                found[present_name(name)] = photo.size_bytes
                held[product] = Amount(photos + 1, size_bytes + photo.size_bytes)
        self._waits = {one: waits for one, waits in self._waits.items() if one in seen}
        for key in self._remove(alone):
            found.pop(present_name(name_of(key)), None)
        return found

    def _is_waiting(self, record: Entry, *, full: bool) -> bool:
        known = self._waits.get(hash(record))
        if known is None and not full:
            known = self._waits[hash(record)] = self._read(record.key)
        return bool(known)

    def _read(self, key: str) -> bool:
        try:
            record, _ = self._store.read(key, max_bytes=MAX_RECORD_BYTES)
            return msgspec.json.decode(record, type=_Verdict).reviewed is None
        except Missing:  # deleted meanwhile
            return False
        except (TooLarge, msgspec.DecodeError):  # a reviewer is told to delete it; until then it takes room
            return True

    def _remove(self, alone: list[Entry]) -> Iterator[str]:
        """Remove old orphans that were orphans at the last count, too; yields their keys."""
        old = frozenset(entry for entry in alone if 0 < entry.modified < time.time() - ALONE_S)
        try:
            for entry in old & self._old if self._may_remove else ():
                with self._alone_with(name_of(entry.key)):
                    if list(self._store.list(f"{name_of(entry.key)}.")) == [entry]:  # not sent again meanwhile
                        self._store.delete(entry.key)
                        log.info(
                            "removed %s/%s, which a process that was killed left alone", self._store.uri, entry.key
                        )
                        yield entry.key
        except Denied:
            self._may_remove = False
            log.info("%s: what a killed process left alone the pipeline removes: this key may not", self._store.uri)
        self._old = old - self._old if self._may_remove else frozenset()


def remove_orphans(store: Store) -> None:
    """Remove old orphans, for appliances whose key may not. Raises StoreError."""
    counter = ReviewCounter(store, Amount(0, 0), lambda _: nullcontext())  # reads no record
    counter.count()
    if counter.doubtful:
        counter.count()


def _pairs(entries: Iterable[Entry]) -> Iterator[_Pair]:
    """Photos with their records; entries are sorted by key, so that the two are neighbours."""
    for name, group in groupby(entries, key=lambda entry: name_of(entry.key)):
        both = {entry.key.endswith(RECORD): entry for entry in group}
        yield _Pair(name, both.get(False), both.get(True))
