"""Latency and throughput test of an appliance: one photo at a time, then several concurrent clients."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from statistics import median

import msgspec
import numpy as np
from PIL import Image, ImageFilter

from ui.appliance.client import Api, Refused
from ui.appliance.threads import ByThreads, by_threads

SMALL = (640, 480)
PHONE = (4032, 3024)  # 12 megapixels
WARM_UP = 5
SINGLES = {"small": 40, "phone": 12}  # enough for a median and a 95th percentile that says something
AT_ONCE = (1, 2, 4, 8)
EACH_S = 2.0


class Stages(msgspec.Struct, frozen=True):
    """One kind of photo, one at a time: medians in ms, and the 95th percentile of the whole way there and back."""

    photo: str
    photos: int
    decode_ms: float
    infer_ms: float
    total_ms: float
    round_trip_ms: float
    round_trip_p95_ms: float


class Throughput(msgspec.Struct, frozen=True):
    """Small photos, `at_once` of them under way all the time. `refused` were turned away as too many."""

    at_once: int
    photos_per_s: float
    median_ms: float
    refused: int


class Report(msgspec.Struct, frozen=True):
    """A whole measurement. `threads` is empty for a remote appliance: it cannot be told how many to take."""

    at: str
    model: str
    version: str
    stages: list[Stages]
    throughput: list[Throughput]
    threads: list[ByThreads]

    @property
    def fastest(self) -> Throughput:
        """The most photos a second."""
        return max(self.throughput, key=lambda step: step.photos_per_s)


class Progress(msgspec.Struct, frozen=True):
    """How far it is (0..1), and what is measured now: `small`, `phone`, `threads`, or `at_once` with its number."""

    share: float
    what: str
    at_once: int = 0


async def measure(api: Api, folder: Path | None) -> AsyncIterator[Progress | Report]:
    """Measure, reporting progress; the report comes last. Raises Unreachable and Refused.

    `folder` is that of the model, where it serves on this machine.
    """
    loop = asyncio.get_running_loop()
    yield Progress(0.0, "draw")
    photos = {"small": await loop.run_in_executor(None, draw, SMALL)}
    photos["phone"] = await loop.run_in_executor(None, draw, PHONE)
    for _ in range(WARM_UP):
        answer = await api.predict(photos["small"])
    stages = []
    for place, (name, count) in enumerate(SINGLES.items()):
        yield Progress(0.1 + 0.15 * place, name)
        stages.append(await _singles(api, name, photos[name], count))
    yield Progress(0.4, "threads")
    threads = await by_threads(folder) if folder else []
    throughput = []
    for place, at_once in enumerate(AT_ONCE):
        yield Progress(0.5 + 0.5 * place / len(AT_ONCE), "at_once", at_once)
        throughput.append(await _together(api, photos["small"], at_once))
    model = answer["model"]
    at = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    yield Report(at, model["name"], model["version"], stages, throughput, threads)


@cache
def draw(size: tuple[int, int]) -> bytes:
    """A drawn meadow as JPEG: its detail takes a decoder about as long as a photo's."""
    generator = np.random.default_rng(7)
    width, height = size
    coarse = generator.integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
    coarse[..., 1] |= 96  # green prevails
    meadow = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).filter(ImageFilter.SHARPEN)
    stream = io.BytesIO()
    meadow.save(stream, "JPEG", quality=88)
    return stream.getvalue()


async def _singles(api: Api, name: str, photo: bytes, count: int) -> Stages:
    answers, trips = [], []
    for _ in range(count):
        began = time.perf_counter()
        answers.append((await _patiently(api, photo))["timings_ms"])
        trips.append(1000 * (time.perf_counter() - began))
    medians = {stage: median(answer[stage] for answer in answers) for stage in ("decode", "infer", "total")}
    p95 = sorted(trips)[min(count - 1, round(0.95 * count))]
    return Stages(
        name, count, medians["decode"], medians["infer"], medians["total"], round(median(trips), 3), round(p95, 3)
    )


async def _patiently(api: Api, photo: bytes) -> dict[str, dict[str, float]]:
    """One answer, however busy the appliance is with others. Raises Unreachable, and Refused for any other reason."""
    while True:
        try:
            return await api.predict(photo)
        except Refused as error:
            if error.status != 503 or not error.retry_after_s:
                raise
            await asyncio.sleep(error.retry_after_s)


async def _together(api: Api, photo: bytes, at_once: int) -> Throughput:
    until = time.perf_counter() + EACH_S
    trips: list[float] = []
    refused = 0

    async def client() -> None:
        nonlocal refused
        while time.perf_counter() < until:
            began = time.perf_counter()
            try:
                await api.predict(photo)
            except Refused as error:
                if error.status != 503:
                    raise
                refused += 1
                await asyncio.sleep(0.1)
                continue
            trips.append(time.perf_counter() - began)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(client())
    rate = len(trips) / (time.perf_counter() - began)
    return Throughput(at_once, round(rate, 1), round(1000 * median(trips), 3) if trips else 0.0, refused)
