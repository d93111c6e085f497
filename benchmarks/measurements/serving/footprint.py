"""Footprint of the appliance: cold start, memory over many requests, idle CPU, disk."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence

import msgspec
from PIL import Image
from rich.table import Table

from benchmarks.contenders.installed import our_megabytes
from benchmarks.contenders.photos import PHONE, draw_jpeg
from benchmarks.contenders.servers import Server, appliance, serving
from benchmarks.host.interference import Contention, watch_contention
from benchmarks.host.machine import Machine, this_machine
from benchmarks.load_generator.generator import Send, generator
from benchmarks.load_generator.plans import Closed, Order, describe_statuses
from benchmarks.load_generator.raw_requests import form_of, post, raw
from benchmarks.measurements.inference.instruction_sets import require_sets, served_kernel
from benchmarks.measurements.serving.footprint_kernels import (
    KernelFootprint,
    compared_kernels,
    kernel_goals,
    measure_kernels,
)
from benchmarks.statistics.goals import Goal, counted
from benchmarks.statistics.samples import Estimate, median_of
from runtime.bundle.manifest import Bundle
from runtime.cli.progress import progress
from runtime.host.cpu import available_cpus
from runtime.native.layout import Instructions

LARGEST = 6

EARLY = 1000  # requests after which growth counts: what is loaded or allocated once is there by then
CLIENTS = 4
STEP = 100  # requests between two looks at the memory
TIMEOUT_S = 120.0
MEGABYTE = 1_000_000


class Look(msgspec.Struct, frozen=True):
    """The server at one moment: requests so far, seconds since the first, resident memory."""

    requests: int
    seconds: float
    resident_mb: float


class FootprintResult(msgspec.Struct, frozen=True):
    """`statuses` by kind of request; `idle_share` of one core; `installed_mb` by package; `kernels` one by one."""

    machine: Machine
    neighbours: Contention
    bundle: str
    image_size: int
    requests: int
    start_s: Estimate
    starts_s: list[float]
    memory: list[Look]
    idle_share_before: float
    idle_share_after: float
    idle_window_s: float
    statuses: dict[str, dict[str, int]]
    installed_mb: dict[str, float]
    goals: list[Goal]
    kernels: list[KernelFootprint] = []

    @property
    def installed_total_mb(self) -> float:
        """All packages together."""
        return sum(self.installed_mb.values())


class Mixed(msgspec.Struct, frozen=True):
    """One request of the mix, and whether the appliance is to refuse it."""

    kind: str
    request: bytes
    refused: bool = False


def measure_footprint(
    bundle: Bundle,
    photos: Sequence[bytes],
    *,
    requests: int,
    starts: int,
    idle_s: float,
    wanted: Sequence[Instructions] = (),
) -> FootprintResult:
    """Start the appliance `starts` times, then send `requests` mixed ones to the last.

    Then as often with the instruction sets that are `wanted`, or those of `compared_kernels`, against onnxruntime.
    Raises Refusal for instructions that this host lacks.
    """
    require_sets(wanted)
    kernels = list(wanted) or compared_kernels(served_kernel(bundle))
    recipe = appliance(bundle.path)
    mix = mixed_requests(photos)
    started: list[float] = []
    with watch_contention(available_cpus()) as watch, generator() as send:
        with progress("start", starts) as advance:
            for _ in range(starts - 1):
                with serving(recipe) as server:
                    started.append(server.start_s)
                advance()
        with serving(recipe) as server:
            watch.include(server.pid)
            started.append(server.start_s)
            before = idle_share(server, idle_s)
            memory, statuses = _exercise(server, send, mix, requests)
            after = idle_share(server, idle_s)
        by_kernel = measure_kernels(bundle, photos, kernels, send, rounds=starts)
    start = median_of(started)
    return FootprintResult(
        machine=this_machine(),
        neighbours=watch.seen,
        bundle=bundle.manifest.version,
        image_size=bundle.manifest.input.height,
        requests=requests,
        start_s=start,
        starts_s=started,
        memory=memory,
        idle_share_before=before,
        idle_share_after=after,
        idle_window_s=idle_s,
        statuses=statuses,
        installed_mb=our_megabytes(),
        goals=[
            *_goals(start, starts, memory, max(before, after), _unexpected(mix, statuses)),
            *kernel_goals(by_kernel),
        ],
        kernels=by_kernel,
    )


def mixed_requests(photos: Sequence[bytes]) -> list[Mixed]:
    """Fifty requests as a busy site sends them: small JPEGs mostly, phone photos, PNG, WebP, batches, and nonsense."""
    to_predict = raw("/predict")
    small = [Mixed("small JPEG", to_predict(photos[number % len(photos)])) for number in range(32)]
    some = photos[0]
    others = [
        *[Mixed("12-megapixel JPEG", to_predict(draw_jpeg(PHONE, 0)))] * 2,
        *[Mixed("PNG", raw("/predict", content_type="image/png")(_as(some, "PNG")))] * 4,
        *[Mixed("WebP", raw("/predict", content_type="image/webp")(_as(some, "WEBP")))] * 4,
        *[Mixed("form", form_of("/predict", [some], "file"))] * 3,
        *[
            Mixed(
                "batch of 4", form_of("/predict/batch", [photos[number % len(photos)] for number in range(4)], "files")
            )
        ]
        * 2,
        Mixed("cut JPEG", to_predict(some[: len(some) // 2]), refused=True),
        Mixed("text", post("/predict", "image/jpeg", b"no photo at all"), refused=True),
        Mixed("JSON", post("/predict", "application/json", b'{"photo": 1}'), refused=True),
    ]
    return _spread(small, others)


def _spread(many: Sequence[Mixed], few: Sequence[Mixed]) -> list[Mixed]:
    """`few` at even distances among `many`: each kind comes up again and again, never all of it at once."""
    placed = [(number / len(many), 0, number, one) for number, one in enumerate(many)]
    placed += [((number + 0.5) / len(few), 1, number, one) for number, one in enumerate(few)]
    return [one for *_, one in sorted(placed, key=lambda place: place[:3])]


def _as(photo: bytes, format_: str) -> bytes:
    stream = io.BytesIO()
    Image.open(io.BytesIO(photo)).convert("RGB").save(stream, format_)
    return stream.getvalue()


def idle_share(server: Server, seconds: float) -> float:
    """Of one core, what the server takes while nobody asks for anything."""
    before, began = server.cpu_s(), time.perf_counter()
    time.sleep(seconds)
    return (server.cpu_s() - before) / (time.perf_counter() - began)


def _exercise(
    server: Server, send: Send, mix: Sequence[Mixed], requests: int
) -> tuple[list[Look], dict[str, dict[str, int]]]:
    encoded = [one.request for one in mix]
    statuses: dict[str, dict[str, int]] = {one.kind: {} for one in mix}
    began = time.perf_counter()
    looks = [Look(0, 0.0, server.resident_bytes() / MEGABYTE)]
    with progress("requests", requests) as advance:
        while looks[-1].requests < requests:
            done = looks[-1].requests
            step = min(STEP, requests - done)
            plan = Closed(CLIENTS, TIMEOUT_S, requests=step)
            burst = send(Order(server.port, encoded, plan, first=done, timeout_s=TIMEOUT_S))
            for kind, status in zip(burst.kind, burst.status, strict=True):
                counts = statuses[mix[kind].kind]
                counts[str(status)] = counts.get(str(status), 0) + 1
            seconds = time.perf_counter() - began
            looks.append(Look(done + step, seconds, server.resident_bytes() / MEGABYTE))
            advance(step)
    return looks, statuses


def _unexpected(mix: Sequence[Mixed], statuses: dict[str, dict[str, int]]) -> int:
    """Answers that are neither right nor the refusal that was due."""
    refused = {one.kind for one in mix if one.refused}
    return sum(
        count
        for kind, counts in statuses.items()
        for status, count in counts.items()
        if (status[0] != "4" if kind in refused else status != "200")
    )


def growth(memory: Sequence[Look]) -> float | None:
    """How much larger the memory is at the end than after EARLY requests; None where there were no more than those."""
    early = [look for look in memory if look.requests >= EARLY]
    return None if len(early) < 2 else memory[-1].resident_mb / early[0].resident_mb - 1


def _goals(start: Estimate, starts: int, memory: Sequence[Look], idle: float, unexpected: int) -> list[Goal]:
    grown = growth(memory)
    return [
        Goal("start to ready, s", start, "at most", 1.5, starts),
        counted(f"resident after {memory[-1].requests} mixed requests, MB", memory[-1].resident_mb, "at most", 150),
        *([] if grown is None else [counted(f"growth after the first {EARLY}, %", 100 * grown, "at most", 5)]),
        counted("idle CPU, % of a core", 100 * idle, "at most", 0.5),
        counted("answers that were not the ones due", unexpected, "at most", 0),
    ]


def requests_table(result: FootprintResult) -> Table:
    """What was sent and what came back."""
    table = Table(title=f"{result.requests} mixed requests (bundle {result.bundle}, {result.image_size} px)")
    table.add_column("kind")
    table.add_column("answers")
    for kind, statuses in result.statuses.items():
        table.add_row(kind, describe_statuses(statuses))
    return table


def disk_table(result: FootprintResult) -> Table:
    """The largest packages, and all."""
    table = Table(title="Installed, MB")
    table.add_column("package")
    table.add_column("MB", justify="right")
    sizes = sorted(result.installed_mb.items(), key=lambda item: -item[1])
    for name, size in sizes[:LARGEST]:
        table.add_row(name, f"{size:.1f}")
    table.add_row(f"{len(sizes) - LARGEST} others", f"{sum(size for _, size in sizes[LARGEST:]):.1f}", end_section=True)
    table.add_row(f"all {len(sizes)}", f"{result.installed_total_mb:.1f}")
    return table
