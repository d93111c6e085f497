"""Batch inference on one part of the photos, in thread pools with backpressure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
import numpy as np

from runtime.batch.model import open_model
from runtime.batch.plan import MAX_PART_BYTES, BatchPlan, Listed, read_part, read_plan
from runtime.batch.rows import Row
from runtime.bundle.manifest import Bundle
from runtime.host.cpu import available_cpus
from runtime.host.photo_limits import limits_of_host
from runtime.image import ImageError, decode_photo, warm_up
from runtime.inference.backends import open_validated
from runtime.inference.predictions import AnswerRule, predict
from runtime.store import InvalidKey, Missing, Store, TooLarge, open_store

MAX_BYTES = 20 * 2**20  # of one file, as the appliance takes by default
READERS = 8  # photos on their way from the store at once

T = TypeVar("T")
R = TypeVar("R")


class Counts(NamedTuple):
    """How many photos of a part there are, and how many of them have no answer."""

    photos: int
    errors: int


class _Read(NamedTuple):
    key: str
    data: bytes | None
    error: str | None


def classify(
    work: str,
    number: int,
    *,
    cache: Path,
    threads: int | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Counts:
    """Classify the part `number` of the batch planned in the store `work`, and keep its rows there.

    `threads` photos at once, one a core if None; each gets the answer that `POST /predict` gives, or a row that says
    why there is none. Idempotent: a part whose rows exist is not computed again. `advance` is called after each photo.
    Raises StoreError, also if a photo could not be read: then nothing is written, and a retry is safe.
    """
    store = open_store(work)
    try:
        rows = read_rows(store, number)
        for _ in rows:
            advance()
    except Missing:
        made = read_plan(work)
        rows = _rows(made, read_part(store, number), cache, threads or available_cpus(), advance)
        store.write(_rows_key(number), msgspec.json.encode(rows))
    return Counts(len(rows), sum(row.error is not None for row in rows))


def read_rows(store: Store, number: int) -> list[Row]:
    """The rows of a classified part; raises Missing if it is not classified yet."""
    return msgspec.json.decode(store.read(_rows_key(number), max_bytes=MAX_PART_BYTES)[0], type=list[Row])


def _rows(made: BatchPlan, entries: list[Listed], cache: Path, threads: int, advance: Callable[[], None]) -> list[Row]:
    bundle = Path(made.bundle) if made.bundle else None
    classify_photo = _classifier(open_model(made.models, made.version, cache, bundle))
    read = partial(_read, open_store(made.source))
    rows = []
    with ThreadPoolExecutor(READERS) as readers, ThreadPoolExecutor(threads) as workers:
        try:
            photos = in_order(readers, read, entries, ahead=2 * READERS)
            for row in in_order(workers, classify_photo, photos, ahead=2 * threads):
                rows.append(row)
                advance()
        finally:
            readers.shutdown(cancel_futures=True)
            workers.shutdown(cancel_futures=True)
    return rows


def _read(store: Store, entry: Listed) -> _Read:
    if entry.error:
        return _Read(entry.key, None, entry.error)
    if entry.size_bytes > MAX_BYTES:
        size = f"{entry.size_bytes / 2**20:.0f} MiB"
        return _Read(entry.key, None, f"the file is {size}, the limit is {MAX_BYTES // 2**20} MiB; make it smaller")
    try:
        return _Read(entry.key, store.read(entry.key, max_bytes=MAX_BYTES)[0], None)
    except (InvalidKey, TooLarge) as error:
        return _Read(entry.key, None, str(error))
    except Missing:
        return _Read(entry.key, None, "it was there when the batch was planned, and is there no more")


def _classifier(bundle: Bundle) -> Callable[[_Read], Row]:
    """A thread-safe function that classifies the bytes of a photo."""
    warm_up()
    manifest, limits = bundle.manifest, limits_of_host()
    session, rule = open_validated(bundle, threads=1).session, AnswerRule.of(manifest)

    def classify_photo(read: _Read) -> Row:
        if read.data is None:
            return Row(read.key, error=read.error)
        try:
            photo = decode_photo(read.data, manifest.input, limits=limits)
        except ImageError as error:
            return Row(read.key, error=str(error))
        probabilities = session.infer(photo.pixels[np.newaxis]).probabilities[0]
        prediction = predict(probabilities, rule, damaged=photo.damaged)
        return Row(read.key, **msgspec.structs.asdict(prediction))

    return classify_photo


def in_order(pool: ThreadPoolExecutor, work: Callable[[T], R], items: Iterable[T], *, ahead: int) -> Iterator[R]:
    """A parallel `map` in order, with backpressure: at most `ahead` items are in flight or not yet consumed."""
    waiting: deque[Future[R]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _rows_key(number: int) -> str:
    return f"rows/{number:05}.json"
