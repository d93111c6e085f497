from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence

import pytest

from runtime.bundle.input import MAX_BATCH, max_batch_size
from runtime.image import ImageSpec
from runtime.serving.scheduling.batcher import LARGE_BYTES, MAX_GATHER_S, Batcher, ClientGone
from runtime.serving.scheduling.workers import WorkerPool

Outcomes = Sequence[bytes | Exception]


class Recorder:
    """Work that notes what was drawn together; it waits for `gate` first, and sets `begun` with the first photo."""

    def __init__(self, *, slow_s: float = 0.0) -> None:
        self.gate = threading.Event()
        self.begun = threading.Event()
        self.batches: list[list[bytes]] = []
        self._slow_s = slow_s
        self._lock = threading.Lock()

    @property
    def drawn(self) -> list[bytes]:
        return [photo for batch in self.batches for photo in batch]

    def __call__(self, photos: Iterator[bytes]) -> Outcomes:
        self.gate.wait(10)
        with self._lock:  # one worker after the other: each is seen to leave the others their share
            batch = []
            for photo in photos:
                self.begun.set()
                if self._slow_s:
                    time.sleep(self._slow_s)
                batch.append(photo)
            self.batches.append(batch)
        if b"all fail" in batch:
            raise RuntimeError("no memory")
        return [ValueError("broken") if photo == b"broken" else photo.upper() for photo in batch]


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Photos are gathered for however long it takes: a busy machine is no slow photo."""
    monkeypatch.setattr("runtime.serving.scheduling.batcher.MAX_GATHER_S", 60)


def batched(work: Recorder, photos: Sequence[bytes], *, workers: int = 1) -> list[bytes | BaseException]:
    """The outcomes of photos that all wait before the first is taken up."""

    async def ask() -> list[bytes | BaseException]:
        batcher = Batcher[bytes](pool, work, lambda: MAX_BATCH)
        asked = [asyncio.ensure_future(batcher.submit(photo)) for photo in photos]
        await asyncio.sleep(0.05)
        work.gate.set()
        return await asyncio.gather(*asked, return_exceptions=True)

    pool = WorkerPool(workers, name="batch", on_thread_start=lambda: None)
    try:
        return asyncio.run(ask())
    finally:
        pool.close()


@pytest.mark.usefixtures("unhurried")
def test_those_who_wait_are_taken_up_together_and_each_gets_its_own_answer():
    photos = [f"photo {i}".encode() for i in range(2 * MAX_BATCH + 2)]
    work = Recorder()
    assert batched(work, photos) == [photo.upper() for photo in photos]
    assert [len(batch) for batch in work.batches] == [MAX_BATCH, MAX_BATCH, 2]
    assert work.drawn == photos  # in the order of their coming


@pytest.mark.usefixtures("unhurried")
def test_no_worker_takes_what_another_could_do_at_once():
    work = Recorder()
    batched(work, [b"a", b"b", b"c", b"d"], workers=2)
    assert len(work.batches[0]) == 2
    assert sorted(work.drawn) == [b"a", b"b", b"c", b"d"]


def test_slow_photos_are_not_gathered():
    work = Recorder(slow_s=2 * MAX_GATHER_S)
    batched(work, [b"a", b"b", b"c"])
    assert work.batches == [[b"a"], [b"b"], [b"c"]]


@pytest.mark.usefixtures("unhurried")
def test_a_large_photo_lets_none_beside_it_wait():
    large = bytes(LARGE_BYTES + 1)
    work = Recorder()
    batched(work, [b"a", b"b", large, b"c"])
    assert work.batches == [[b"a", b"b"], [large, b"c"]]


def test_an_error_is_of_its_photo_alone():
    broken, *others = batched(Recorder(), [b"broken", b"a", b"b"])
    assert isinstance(broken, ValueError)
    assert others == [b"A", b"B"]


@pytest.mark.usefixtures("unhurried")
def test_a_failure_of_the_work_itself_is_heard_by_all_that_it_took_and_by_no_other():
    outcomes = batched(Recorder(), [b"all fail", *[b"beside"] * (MAX_BATCH - 1), b"next", b"last"])
    assert [str(outcome) for outcome in outcomes[:MAX_BATCH]] == ["no memory"] * MAX_BATCH
    assert outcomes[MAX_BATCH:] == [b"NEXT", b"LAST"]


def served(work: Recorder, ask: Callable[[Batcher[bytes]], Awaitable[bytes]]) -> bytes:
    """What `ask` makes of a batcher with one worker."""
    pool = WorkerPool(1, name="batch", on_thread_start=lambda: None)

    async def run() -> bytes:
        return await ask(Batcher[bytes](pool, work, lambda: MAX_BATCH))

    try:
        return asyncio.run(run())
    finally:
        pool.close()


def test_who_left_is_not_worked_for():
    work = Recorder()
    left = threading.Event()

    async def ask(batcher: Batcher[bytes]) -> bytes:
        first = asyncio.ensure_future(batcher.submit(b"first"))
        leaving = asyncio.ensure_future(batcher.submit(b"leaves", left.is_set))
        staying = asyncio.ensure_future(batcher.submit(b"stays", lambda: False))
        cancelled = [asyncio.ensure_future(batcher.submit(b"is cancelled", *asked)) for asked in ([], [left.is_set])]
        await asyncio.sleep(0.05)
        for asked in cancelled:
            asked.cancel()
        left.set()
        with pytest.raises(ClientGone):
            await leaving  # before its turn: the only worker waits for its gate
        work.gate.set()
        assert await first == b"FIRST"
        assert await staying == b"STAYS"
        return await batcher.submit(b"after")

    assert served(work, ask) == b"AFTER"
    assert work.drawn == [b"first", b"stays", b"after"]


def test_who_left_between_two_looks_is_not_worked_for_either(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("runtime.serving.scheduling.batcher.DISCONNECT_CHECK_S", 3600)
    work = Recorder()
    left = threading.Event()

    async def ask(batcher: Batcher[bytes]) -> bytes:
        first = asyncio.ensure_future(batcher.submit(b"first"))
        leaving = asyncio.ensure_future(batcher.submit(b"leaves", left.is_set))
        await asyncio.sleep(0.05)
        left.set()
        work.gate.set()
        with pytest.raises(ClientGone):
            await leaving
        return await first

    assert served(work, ask) == b"FIRST"
    assert work.drawn == [b"first"]


def test_who_leaves_after_it_was_taken_up_gets_its_answer():
    work = Recorder(slow_s=0.1)
    work.gate.set()
    assert served(work, lambda batcher: batcher.submit(b"photo", work.begun.is_set)) == b"PHOTO"


@pytest.mark.parametrize(("size", "photos"), [(32, MAX_BATCH), (96, MAX_BATCH), (160, 7), (224, 4), (512, 1)])
def test_a_large_input_has_less_company(size: int, photos: int):
    assert max_batch_size(ImageSpec(height=size, width=size)) == photos
