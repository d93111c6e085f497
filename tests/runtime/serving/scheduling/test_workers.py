from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import pytest

from runtime.serving.scheduling.workers import WorkerPool
from tests.support.waiting import wait_until


@pytest.fixture
def workers():
    pool = WorkerPool(2, name="test", on_thread_start=lambda: None)
    yield pool
    pool.close()


def test_a_job_returns_or_raises_to_whoever_waits_for_it(workers: WorkerPool):
    async def both() -> None:
        assert await workers.run(lambda: 7) == 7
        with pytest.raises(ZeroDivisionError):
            await workers.run(lambda: 1 // 0)
        assert await workers.run(lambda: None) is None  # the thread has survived

    asyncio.run(both())


def test_so_many_jobs_run_at_once_and_the_others_wait_in_their_order(workers: WorkerPool):
    order: list[int] = []
    running, most = 0, 0
    lock = threading.Lock()
    both = threading.Barrier(2, timeout=60)

    def job(number: int) -> None:
        nonlocal running, most
        with lock:
            order.append(number)
            running += 1
            most = max(most, running)
        both.wait()
        with lock:
            running -= 1

    async def all_of_them() -> None:
        await asyncio.gather(*(workers.run(lambda number=number: job(number)) for number in range(12)))

    asyncio.run(all_of_them())
    assert sorted(order) == list(range(12))
    assert all(abs(place - number) <= 1 for place, number in enumerate(order))
    assert most == 2


def test_the_worker_that_worked_last_works_next(workers: WorkerPool):
    async def names() -> list[str]:
        found = []
        for _ in range(10):
            wait_until(lambda: len(workers._idle) == workers.count, "all are idle", every_s=0.001)
            found.append(await workers.run(lambda: threading.current_thread().name))
        return found

    assert len(set(asyncio.run(names()))) == 1


def test_each_thread_begins_with_what_it_is_told():
    begun: list[str] = []
    pool = WorkerPool(3, name="begins", on_thread_start=lambda: begun.append(threading.current_thread().name))
    pool.close()
    assert sorted(begun) == ["begins_0", "begins_1", "begins_2"]


def test_closing_finishes_what_was_submitted_and_what_that_asks_for():
    done: list[str] = []
    pool = WorkerPool(1, name="closing", on_thread_start=lambda: None)

    def first() -> None:
        wait_until(lambda: pool._closing, "the pool is being closed")
        pool.submit(lambda: done.append("asked for by a job"))

    pool.submit(first)
    pool.submit(lambda: done.append("submitted"))
    pool.close()
    assert done == ["submitted", "asked for by a job"]
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(lambda: None)


def test_an_idle_worker_keeps_nothing_of_its_last_job(workers: WorkerPool):
    class Model:
        pass

    async def use() -> weakref.ref[Model]:
        model = Model()
        await workers.run(lambda: id(model))
        return weakref.ref(model)

    seen = asyncio.run(use())

    def forgotten() -> bool:
        gc.collect()
        return seen() is None

    wait_until(forgotten, "the model is forgotten")


def test_a_job_whose_caller_gave_up_is_not_done(workers: WorkerPool):
    done: list[int] = []
    gave_up = threading.Event()

    async def give_up() -> None:
        busy = [asyncio.ensure_future(workers.run(lambda: gave_up.wait(60))) for _ in range(2)]
        await asyncio.sleep(0)
        waiting = asyncio.ensure_future(workers.run(lambda: done.append(1)))
        await asyncio.sleep(0)
        waiting.cancel()
        gave_up.set()
        await asyncio.gather(*busy)
        await workers.run(lambda: None)

    asyncio.run(give_up())
    assert done == []
