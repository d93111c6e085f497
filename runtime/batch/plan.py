"""Plan a batch: list the photos, partition them, and pin the model version. Idempotent."""

from __future__ import annotations

import math
import os
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import msgspec

from runtime.batch.model import choose
from runtime.errors import Refusal
from runtime.names import NOT_JSON, UNKNOWN, plain
from runtime.store import Entry, Missing, Store, is_key, open_store

SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".avif", ".heic", ".heif"})
PHOTOS_PER_PART = 2000  # some seconds of work: loading the model, and the scheduler around it, should not count
MAX_PLAN_BYTES = 2**20
MAX_PART_BYTES = 2**30  # the rows of ten million photos in a thousand parts are half of it
MAX_PARTS = 1000  # what Airflow maps one task to by default is 1024
PLAN = "plan.json"
BATCHES = "batch"  # the folder of scheduled batches in a data store
KEPT = 5  # of these, the newest


class BatchError(Refusal):
    """A batch that cannot be done; the message names the reason and the remedy."""


class Listed(NamedTuple):
    """A photo of a part; `key` as text, with escapes if it is none, and then `error` says so. As an `Entry` is kept."""

    key: str
    size_bytes: int
    modified: float = 0.0
    error: str | None = None


class BatchPlan(msgspec.Struct, frozen=True):
    """A batch: `source` and `models` are URIs of stores, `version` None for the bundle in this package.

    `bundle` is the folder of the bundle where that was chosen, whose version `version` is then. `unknown` is whether
    the model has the unknown class.

    `photos` are listed in `parts` files next to the plan; `passed_over` counts files without a photo's suffix.
    """

    source: str
    models: str | None
    version: str | None
    labels: tuple[str, ...]
    photos: int
    passed_over: int
    parts: int
    created: str
    bundle: str | None = None
    unknown: bool = False

    @property
    def classes(self) -> tuple[str, ...]:
        """What the model tells apart: the labels, and UNKNOWN if it has that class."""
        return (*self.labels, UNKNOWN) if self.unknown else self.labels


def plan_batch(
    source: str,
    work: str,
    *,
    models: str | None = None,
    version: str | None = None,
    bundle: Path | None = None,
    photos_per_part: int = PHOTOS_PER_PART,
) -> BatchPlan:
    """Partition the photos below the URI `source`, and pin a model version; the plan is kept in the store `work`.

    That is the `bundle` in a folder, else the `version` in the store `models`, else its latest, else the bundle in this
    package. A file whose name can be no key is listed with the reason. Idempotent: an existing plan is returned.
    Raises BatchError, StoreError, BundleError.
    """
    store = open_store(work)
    try:
        return read_plan(work)
    except Missing:
        pass  # nothing planned yet
    chosen = choose(models, version, bundle)
    found = [_listed(entry) for entry in open_store(source).list(invalid=True)]
    photos = [entry for entry in found if is_photo(entry.key)]
    if not photos:
        raise BatchError(f"{source}: holds no photos ({', '.join(sorted(SUFFIXES))}); check the name")
    size = max(photos_per_part, math.ceil(len(photos) / MAX_PARTS))
    parts = [photos[start : start + size] for start in range(0, len(photos), size)]
    for number, part in enumerate(parts):
        store.write(_list_key(number), msgspec.json.encode(part))
    made = BatchPlan(
        source=source,
        models=models if chosen.version and not bundle else None,
        version=chosen.version,
        labels=chosen.labels,
        photos=len(photos),
        passed_over=len(found) - len(photos),
        parts=len(parts),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        bundle=str(bundle.resolve()) if bundle else None,
        unknown=chosen.unknown,
    )
    store.write(PLAN, msgspec.json.encode(made))  # last: what it names is there
    return made


def read_plan(work: str) -> BatchPlan:
    """The plan in the store `work`; raises Missing if there is none, BatchError if it is invalid."""
    data, _ = open_store(work).read(PLAN, max_bytes=MAX_PLAN_BYTES)
    try:
        return msgspec.json.decode(data, type=BatchPlan)
    except NOT_JSON as error:
        raise BatchError(f"{work}/{PLAN}: {plain(error)}; delete {work} and begin again") from error


def read_part(store: Store, number: int) -> list[Listed]:
    """The photos of one part."""
    return msgspec.json.decode(store.read(_list_key(number), max_bytes=MAX_PART_BYTES)[0], type=list[Listed])


def prune(data: str, *, keep: int = KEPT) -> list[str]:
    """Remove what the oldest batches in the data store kept, not their tables; returns their names."""
    store = open_store(data)
    keys = [entry.key for entry in store.list(f"{BATCHES}/")]
    names = [key.split("/")[1] for key in keys if key.endswith(f"/{PLAN}")]
    spare = sorted(names, key=lambda name: read_plan(f"{data}/{BATCHES}/{name}").created)[:-keep]
    for name in spare:
        below = f"{BATCHES}/{name}/"
        for key in (f"{below}{PLAN}", *(key for key in keys if key.startswith(below))):
            store.delete(key)
    return spare


def is_photo(key: str) -> bool:
    """Whether a key has a photo's suffix; hidden files are ignored."""
    path = PurePosixPath(key)
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _listed(entry: Entry) -> Listed:
    if is_key(entry.key):
        return Listed(*entry)
    # Lone surrogates stand for bytes that are not UTF-8 (os.fsdecode); neither JSON nor a table can hold them.
    name = os.fsencode(entry.key).decode(errors="backslashreplace")
    if name != entry.key:
        return Listed(name, entry.size_bytes, entry.modified, "its name is not UTF-8; give the file another name")
    reason = "its name has a control character, `.` or `..` in it; give the file another name"
    return Listed(name, entry.size_bytes, entry.modified, reason)


def _list_key(number: int) -> str:
    return f"parts/{number:05}.json"
