"""Heavy photos beside small ones: an engine with one worker, whose decoder waits until the test lets it go on."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from runtime.bundle.manifest import Bundle
from runtime.image import DecodedPhoto, ImageError, ImageSpec, decode, decode_photo
from runtime.serving.engine import Engine
from runtime.serving.loaded_model import LoadedModel
from runtime.serving.monitoring.metrics import Metrics
from runtime.serving.offload import ChildDied
from runtime.serving.offload.photos import HeavyPhotos
from runtime.serving.scheduling.admission import Overloaded
from runtime.serving.scheduling.batcher import ClientGone
from runtime.serving.scheduling.scheduler import RequestTooCostly
from runtime.serving.settings import Settings
from tests.support.models.bundles import write_bundle
from tests.support.photos import photo
from tests.support.pictures.large_photos import flat_jpeg, flat_png
from tests.support.references import references_left
from tests.support.waiting import wait_until


@cache
def empty_giant() -> bytes:
    return flat_png(4500, 4500)


class Gate:
    """A decoder that holds up giants, and notes in which order it was given them."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.begun: list[int] = []

    def __call__(self, data: bytes, *rest: Any, **options: Any) -> Any:
        if data.startswith(empty_giant()):
            self.begun.append(data[-1])
            assert self.open.wait(60)
        return decode_photo(photo() if data.startswith(empty_giant()) else data, *rest, **options)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate()
    for caller in ("runtime.serving.engine", "runtime.serving.offload.photos"):
        monkeypatch.setattr(f"{caller}.decode_photo", gate)
    return gate


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder: Path = tmp_path_factory.mktemp("lane")
    return LoadedModel(Bundle.open(write_bundle(folder / "v1")), threads=1, source="")


@pytest.fixture
def engine(model: LoadedModel, gate: Gate) -> Iterator[Engine]:
    engine = Engine(model, Settings(threads=1, workers=1, budget_s=0.5, max_request_pixels=100_000_000), Metrics())
    yield engine
    gate.open.set()
    engine.close()


def giant(number: int) -> bytes:
    return empty_giant() + bytes([number])


async def begun(gate: Gate, count: int) -> None:
    await asyncio.to_thread(partial(wait_until, lambda: len(gate.begun) >= count, "a giant has begun", every_s=0.001))


def test_a_small_photo_does_not_wait_for_a_giant_even_with_one_worker(engine: Engine, gate: Gate):
    async def ask() -> None:
        large = asyncio.ensure_future(engine.answer(giant(0)))
        await begun(gate, 1)
        for _ in range(20):
            assert (await engine.answer(photo())).label == "dandelion"
        batch = await engine.answer_many([photo(), photo("grass")])
        assert len(batch.answers) == 2
        assert not large.done()
        gate.open.set()
        assert (await large).label == "dandelion"

    asyncio.run(ask())


def test_the_second_giant_of_a_client_is_told_how_long_the_first_takes_and_another_client_is_next(
    engine: Engine, gate: Gate
):
    def ask(number: int, client: str) -> Any:
        return engine.answer(giant(number), client=lambda: client)

    async def fill() -> None:
        waiting = [asyncio.ensure_future(ask(0, "greedy"))]
        await begun(gate, 1)
        waiting.append(asyncio.ensure_future(ask(1, "greedy")))
        waiting.append(asyncio.ensure_future(ask(2, "greedy")))
        await asyncio.sleep(0.01)
        assert engine.waiting == 2
        waiting.append(asyncio.ensure_future(ask(3, "other")))
        await asyncio.sleep(0.8)  # the giant that runs has now taken longer than the budget
        with pytest.raises(Overloaded) as refused:
            await ask(4, "greedy")
        assert refused.value.retry_after_s >= 1
        gate.open.set()
        await asyncio.gather(*waiting)
        assert gate.begun == [0, 3, 1, 2]
        assert engine.waiting == 0

    asyncio.run(fill())


def test_a_giant_whose_client_has_left_is_not_decoded(engine: Engine, gate: Gate):
    left = threading.Event()

    async def ask() -> None:
        first = asyncio.ensure_future(engine.answer(giant(0)))
        await begun(gate, 1)
        leaving = asyncio.ensure_future(engine.answer(giant(1), left.is_set))
        await asyncio.sleep(0.01)
        left.set()
        with pytest.raises(ClientGone):
            await leaving
        gate.open.set()
        await first

    asyncio.run(ask())
    assert gate.begun == [0]


def test_photos_of_a_request_that_has_failed_are_not_decoded(engine: Engine, monkeypatch: pytest.MonkeyPatch):
    begun = []

    def die(_: HeavyPhotos, data: bytes, spec: ImageSpec) -> DecodedPhoto:
        begun.append(data[-1])
        time.sleep(0.05)
        raise ChildDied

    monkeypatch.setattr(HeavyPhotos, "decode", die)

    async def ask() -> None:
        with pytest.raises(ChildDied):
            await engine.decode_many([giant(number) for number in range(6)], engine.model)
        assert engine.waiting == 0

    asyncio.run(ask())
    engine.close()
    assert 1 <= len(begun) <= 2
    assert engine.waiting == 0


def test_a_child_that_hangs_holds_up_no_shutdown(model: LoadedModel):
    engine = Engine(model, Settings(threads=1, workers=1, heavy_processes=1), Metrics())

    async def leave_one_at_work() -> None:
        asked = asyncio.ensure_future(engine.answer(flat_png(4000, 3000)))
        busy = partial(wait_until, lambda: next(iter(engine.children._busy), None), "a child is at work", every_s=0.001)
        child = await asyncio.to_thread(busy)
        await asyncio.to_thread(
            partial(wait_until, lambda: child._may_stop, "it ends with this process", every_s=0.001)
        )
        os.kill(child.pid, signal.SIGSTOP)
        asked.cancel()

    asyncio.run(leave_one_at_work())
    engine.close()
    assert engine.waiting == 0


def test_a_request_that_asks_for_too_much_is_refused_before_anything_is_decoded(engine: Engine, gate: Gate):
    async def ask() -> None:
        with pytest.raises(RequestTooCostly, match=r"the work of 198 megapixels, more than the 100 accepted at once"):
            await engine.answer_many([giant(number) for number in range(16)])
        with pytest.raises(RequestTooCostly, match="send fewer photos in each request"):
            await engine.decode_many([giant(number) for number in range(16)], engine.model)

    asyncio.run(ask())
    assert gate.begun == []
    assert engine.waiting == 0


def test_by_default_a_full_request_of_photos_of_a_phone_is_accepted(model: LoadedModel):
    phone = flat_jpeg(4000, 3000)
    engine = Engine(model, Settings(threads=1, workers=1), Metrics())
    try:
        charged = asyncio.run(engine._scheduler.charge_all([phone] * 128, 224))
    finally:
        engine.close()
    assert sum(each.cost for each in charged) < Settings.max_request_pixels / 2


@pytest.mark.parametrize("way", ["answer", "work", "answer_many"])
def test_nothing_keeps_a_giant_that_was_refused(engine: Engine, gate: Gate, way: str):
    async def refuse(data: bytes) -> None:
        if way == "answer_many":
            await engine.answer_many([data])
            return
        with suppress(ImageError):
            if way == "answer":
                await engine.answer(data)
            else:
                await engine.work(partial(decode, data, engine.manifest.input), 1e9)
            raise AssertionError("it is not refused")

    assert references_left(flat_png(4000, 4000)[:-2000], refuse) == 0


def test_a_giant_that_is_broken_is_refused_as_any_other(engine: Engine, gate: Gate):
    gate.open.set()
    large = flat_png(4000, 4000)

    async def ask() -> None:
        with pytest.raises(ValueError, match="the photo is broken"):
            await engine.answer(large[:-2000])
        result = await engine.answer_many([large[:-2000], photo()])
        assert isinstance(result.answers[0], ValueError)
        assert not isinstance(result.answers[1], ValueError)

    asyncio.run(ask())
    assert engine.admission.is_idle
