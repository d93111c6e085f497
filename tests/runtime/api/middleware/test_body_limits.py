"""Large bodies before they are read: late refusals with a Retry-After that holds, and waits for memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from runtime.api.middleware import body_limits
from runtime.api.middleware.body_limits import LARGE_BYTES, BodyLimits
from runtime.serving.monitoring.metrics import Metrics
from runtime.serving.scheduling import heavy_lane
from runtime.serving.scheduling.admission import Overloaded
from runtime.serving.scheduling.heavy_lane import HeavyLane
from runtime.serving.scheduling.promises import SEVERAL, Promises
from runtime.serving.scheduling.wait_estimate import FIRST_PACE_S
from runtime.serving.settings import Settings
from runtime.serving.uploads import Uploads
from tests.support.clock import Clock

LARGE = 2 * LARGE_BYTES


class Appliance:
    """Room for one large body of each client; nothing waits for long enough to be worth it, if it was not told to."""

    def __init__(self) -> None:
        self.lane = HeavyLane(1, budget_s=0.0, on_thread_start=lambda: None)
        self.uploads = Uploads(2 * LARGE, share=0.5, retry_after_s=self.lane.unread_due_s)
        self.bodies = BodyLimits(Metrics(), self.uploads, Settings(threads=1, workers=1), self.lane)
        self.read = 0

    async def send(self, until: asyncio.Event, *, client: str = "192.0.2.1") -> None:
        """Send a large body, and have it held until `until`."""
        length = str(LARGE).encode()
        scope: Any = {"type": "http", "client": (client, 1), "headers": [(b"content-length", length)], "state": {}}
        with self.bodies.reading(scope, self._receive) as receive:
            await receive()
            await until.wait()

    async def _receive(self) -> Any:
        self.read += 1
        return {"type": "http.request", "body": bytes(LARGE), "more_body": False}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(heavy_lane, "Promises", partial(Promises, clock))
    return clock


@pytest.fixture
def appliance(clock: Clock) -> Iterator[Appliance]:
    appliance = Appliance()
    yield appliance
    appliance.lane.close()


def test_who_was_refused_for_want_of_memory_and_comes_when_told_waits_for_memory_instead(
    appliance: Appliance, clock: Clock
):
    async def ask() -> None:
        done = asyncio.Event()
        first = asyncio.create_task(appliance.send(done))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded) as refused:
            await appliance.send(done)
        assert (refused.value.reason, appliance.read) == ("client_memory", 1)
        clock.now += refused.value.retry_after_s
        again = asyncio.create_task(appliance.send(done))
        while not appliance.uploads.waiting_of("192.0.2.1"):
            await asyncio.sleep(0)
        assert appliance.read == 1
        done.set()
        await asyncio.gather(first, again)
        assert appliance.read == 2

    asyncio.run(ask())


def test_who_comes_before_is_refused_again_and_told_to_come_later(appliance: Appliance, clock: Clock):
    async def ask() -> list[int]:
        done, told = asyncio.Event(), []
        first = asyncio.create_task(appliance.send(done))
        await asyncio.sleep(0)
        for _ in range(3):
            with pytest.raises(Overloaded) as refused:
                await appliance.send(done)
            told.append(refused.value.retry_after_s)
        done.set()
        await first
        return told

    told = asyncio.run(ask())
    assert told == sorted(told)
    assert appliance.read == 1


def test_the_memory_of_one_client_is_no_wait_for_another(appliance: Appliance):
    async def ask() -> None:
        done = asyncio.Event()
        first = asyncio.create_task(appliance.send(done))
        await asyncio.sleep(0)
        done.set()
        await appliance.send(done, client="192.0.2.2")
        await first
        assert appliance.read == 2

    asyncio.run(ask())


def test_beyond_those_that_may_wait_a_body_is_read_and_counted_as_it_comes(appliance: Appliance):
    async def ask() -> None:
        done = asyncio.Event()
        first = asyncio.create_task(appliance.send(done))
        await asyncio.sleep(0)
        appliance.bodies._most_waiting = 0
        with pytest.raises(Overloaded) as refused:
            await appliance.send(done)
        assert (refused.value.reason, appliance.read) == ("client_memory", 2)
        done.set()
        await first

    asyncio.run(ask())


def test_of_bodies_that_come_too_early_as_many_as_may_wait_are_refused_late_and_unread(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(body_limits, "most_waiting", lambda _: 2)
    lane = HeavyLane(1, budget_s=1.0, on_thread_start=lambda: None)
    bodies = BodyLimits(Metrics(), Uploads(10**9, share=1.0), Settings(threads=1, workers=1), lane)
    scope: Any = {
        "type": "http",
        "client": ("192.0.2.1", 1),
        "headers": [(b"content-length", b"20000000")],
        "state": {},
    }

    async def come(refused: list[float]) -> None:
        began = time.monotonic()
        try:
            with bodies.reading(scope, receive) as limited:
                await limited()
        except Overloaded:
            refused.append(time.monotonic() - began)

    read = []

    async def receive() -> Any:
        read.append(b"a part")
        return {"type": "http.request", "body": read[-1], "more_body": True}

    async def ask() -> list[float]:
        refused: list[float] = []
        await asyncio.gather(*(come(refused) for _ in range(20)))
        assert bodies._waiting == 0
        return refused

    with lane.admit("192.0.2.1", 600 / FIRST_PACE_S):
        for _ in range(SEVERAL):
            assert lane.unread_due_s("192.0.2.1") >= 600
        seconds = asyncio.run(ask())
    lane.close()
    assert [each >= body_limits.HASTY_S for each in seconds] == [True] * 2
    assert len(read) == 18
