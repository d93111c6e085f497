"""One part of a batch, on this machine."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
import numpy as np

from runtime.answers import predict
from runtime.batch.model import open_model
from runtime.batch.plan import Plan, read_part, read_plan
from runtime.batch.rows import Row
from runtime.bundle import Bundle
from runtime.cpu import available_cpus
from runtime.image import DEFAULT_MAX_PIXELS, ImageError, decode, warm_up
from runtime.kernels import open_proven
from runtime.store import Entry, Missing, Store, open_store

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
    why there is none. A part whose rows are there is not computed again. `advance` is called after each photo.
    Raises StoreError, also where a photo could not be asked for: nothing is kept then, and one may try again.
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
    """The rows of a part that was classified; raises Missing where it was not."""
    return msgspec.json.decode(store.read(_rows_key(number))[0], type=list[Row])


def _rows(made: Plan, entries: list[Entry], cache: Path, threads: int, advance: Callable[[], None]) -> list[Row]:
    see = _seer(open_model(made.models, made.version, cache))
    read = partial(_read, open_store(made.source))
    rows = []
    with ThreadPoolExecutor(READERS) as readers, ThreadPoolExecutor(threads) as workers:
        try:
            photos = in_order(readers, read, entries, ahead=2 * READERS)
            for row in in_order(workers, see, photos, ahead=2 * threads):
                rows.append(row)
                advance()
        finally:
            readers.shutdown(cancel_futures=True)
            workers.shutdown(cancel_futures=True)
    return rows


def _read(store: Store, entry: Entry) -> _Read:
    if entry.size_bytes > MAX_BYTES:
        size = f"{entry.size_bytes / 2**20:.0f} MiB"
        return _Read(entry.key, None, f"the file is {size}, the limit is {MAX_BYTES // 2**20} MiB; make it smaller")
    try:
        return _Read(entry.key, store.read(entry.key)[0], None)
    except Missing:
        return _Read(entry.key, None, "it was there when the batch was planned, and is there no more")


def _seer(bundle: Bundle) -> Callable[[_Read], Row]:
    """What makes a photo's bytes a row, from several threads at once."""
    warm_up()
    manifest = bundle.manifest
    session = open_proven(bundle, threads=1).session

    def see(read: _Read) -> Row:
        if read.data is None:
            return Row(read.key, error=read.error)
        try:
            pixels = decode(read.data, manifest.input, max_pixels=DEFAULT_MAX_PIXELS)
        except ImageError as error:
            return Row(read.key, error=str(error))
        probabilities = session.infer(pixels[np.newaxis]).probabilities[0]
        prediction = predict(probabilities, manifest.labels, manifest.abstain_threshold)
        return Row(read.key, **msgspec.structs.asdict(prediction))

    return see


def in_order(pool: ThreadPoolExecutor, work: Callable[[T], R], items: Iterable[T], *, ahead: int) -> Iterator[R]:
    """`map`, in the pool, which never holds more than `ahead` items that nobody has asked for yet."""
    waiting: deque[Future[R]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _rows_key(number: int) -> str:
    return f"rows/{number:05}.json"
