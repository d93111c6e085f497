"""Inference in the event loop: a lone client's small photo is decoded and computed there, others by a worker."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import cache, partial

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from runtime.image import ImageError, ImageSpec, decode
from runtime.inference.predictions import Answer
from runtime.serving.engine import Engine
from tests.support.photos import draw_photo, encode, photo
from tests.support.references import references_left


def here(engine: Engine, data: bytes) -> Answer | None:
    async def in_a_loop() -> Answer | None:
        return engine.answer_here(data)

    return asyncio.run(in_a_loop())


def test_a_small_photo_can_be_done_in_the_event_loop(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.serving.engine.SHORT_S", 60)
    in_the_loop, by_a_worker = here(engine, photo()), asyncio.run(engine.answer(photo()))
    assert in_the_loop is not None
    assert in_the_loop.probabilities == by_a_worker.probabilities
    assert in_the_loop.timings_ms.total >= in_the_loop.timings_ms.decode + in_the_loop.timings_ms.infer - 0.01 > 0
    with pytest.raises(ImageError, match="is broken"):
        here(engine, photo()[:700])


def with_segments(data: bytes, count: int, content: bytes = b"") -> bytes:
    """A JPEG with so many comments more."""
    return data[:2] + count * (b"\xff\xfe" + (len(content) + 2).to_bytes(2, "big") + content) + data[2:]


@cache
def long_photos() -> dict[str, bytes]:
    small = draw_photo("dandelion", 0)
    text = PngInfo()
    text.add_text("long", "x" * 1_000_000, zip=True)
    tags = Image.Exif()
    tags[0x010E] = "x" * 20_000
    return {
        "many pixels": photo(size=(600, 500)),
        "many bytes": photo() + bytes(1 << 16),
        "many scans": encode(small, progressive=True),
        "a text": encode(small, "PNG", pnginfo=text),
        "many segments": with_segments(photo(), 5000),
        "a large segment": with_segments(photo(), 1, bytes(20_000)),
        "a large EXIF block": encode(small, exif=tags.tobytes()),
        "four inks": encode(small.convert("CMYK")),
    }


@pytest.mark.parametrize(
    "kind",
    [
        "many pixels",
        "many bytes",
        "many scans",
        "a text",
        "many segments",
        "a large segment",
        "a large EXIF block",
        "four inks",
    ],
)
def test_a_photo_that_may_take_long_is_left_to_a_worker(
    engine: Engine, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = long_photos()[kind]
    monkeypatch.setattr("runtime.serving.engine.SHORT_S", 60)
    before = engine.admission.service_s
    assert here(engine, long) is None
    assert engine.admission.service_s == before
    assert asyncio.run(engine.answer(long)).label == "dandelion"


@pytest.mark.parametrize("way", ["answer", "work", "answer_here"])
def test_nothing_keeps_a_photo_that_was_refused(engine: Engine, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.serving.engine.SHORT_S", 60)

    async def refuse(data: bytes) -> None:
        with suppress(ImageError):
            if way == "answer":
                await engine.answer(data)
            elif way == "work":
                await engine.work(partial(decode, data, ImageSpec(height=8, width=8)))
            else:
                engine.answer_here(data)
            raise AssertionError("it is not refused")

    assert references_left(bytes(bytearray(photo()[:700])), refuse) == 0


def test_broken_photos_count_as_work_too(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.serving.engine.SHORT_S", 60)
    before = engine.admission.service_s
    with pytest.raises(ImageError):
        here(engine, photo()[:700])
    assert engine.admission.service_s != before


def test_where_photos_take_long_they_are_left_to_workers(engine: Engine) -> None:
    engine.admission.record_service_time(100.0)
    assert here(engine, photo()) is None
    for _ in range(400):
        engine.admission.record_service_time(0.001)
    assert here(engine, photo()) is not None


def test_beside_another_request_it_is_left_to_a_worker(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.serving.engine.SHORT_S", 60)
    with engine.admission.enqueue():
        assert here(engine, photo()) is None
    with engine.uploads.upload(lambda: ""), engine.uploads.upload(lambda: ""):
        assert here(engine, photo()) is None
    with engine.uploads.upload(lambda: ""):
        assert here(engine, photo()) is not None
    assert here(engine, photo()) is not None
