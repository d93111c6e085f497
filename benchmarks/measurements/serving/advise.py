"""Capacity advice for this host: measured for the bundles given, extrapolated for other input sizes."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

import msgspec
import numpy as np
from rich.table import Table

from benchmarks.contenders.scaled_bundle import STAND_IN
from benchmarks.contenders.servers import appliance, serving
from benchmarks.host.interference import Contention, watch_contention
from benchmarks.host.machine import Machine, this_machine
from benchmarks.load_generator.generator import Send, generator
from benchmarks.load_generator.plans import Burst, Closed, Order
from benchmarks.load_generator.raw_requests import raw
from runtime.bundle.golden_patterns import PATTERNS, draw
from runtime.bundle.manifest import Bundle
from runtime.cli.progress import progress
from runtime.host.cores import inference_cores
from runtime.host.cpu import available_cpus
from runtime.inference.backends import Kernel, available_kernels, open_backend, open_validated
from runtime.inference.interface import InferenceSession
from runtime.inference.kernel_labels import label_of
from runtime.native.onnx_importer import UnknownGraphError
from training.recipe import SIZES

BUSY_CLIENTS = 16
HEADROOM = 0.8  # of the most that it can do: past that, queues grow
KERNEL_RUNS = 15


class Option(msgspec.Struct, frozen=True):
    """One way to serve: what a lone client sees (ms) and the most photos per second.

    `bundle` is None for a size that no bundle was given for; its figures are then `extrapolated` from measured ones.
    One that is not `trained` is the same network at another size: measured, but not trained for it.
    """

    bundle: str | None
    path: str | None
    image_size: int
    threads: int
    p50_ms: float
    p95_ms: float
    photos_per_s: float
    infer_ms: float
    extrapolated: bool = False
    trained: bool = True

    @property
    def ready(self) -> bool:
        """Whether it can be served as it is: measured, and with weights that mean something."""
        return self.trained and not self.extrapolated


class Target(msgspec.Struct, frozen=True):
    """What is wanted; None for what does not matter."""

    ms: float | None
    rate: float | None

    def met_by(self, option: Option) -> bool:
        """A lone client's 95th percentile within `ms`, and `rate` within HEADROOM of the most."""
        quick = self.ms is None or option.p95_ms <= self.ms
        return quick and (self.rate is None or self.rate <= HEADROOM * option.photos_per_s)


class KernelTime(msgspec.Struct, frozen=True):
    """One arithmetic in one thread, ms a photo; whether it is right on this CPU by the bundle's golden cases."""

    precision: str
    kernel: str
    infer_ms: float
    chosen: bool


class Advice(msgspec.Struct, frozen=True):
    """All options, measured ones first, and the best that meets the target; None where none does."""

    machine: Machine
    neighbours: Contention
    target: Target
    photos: str
    options: list[Option]
    kernels: list[KernelTime]
    best: Option | None


def advise(
    bundles: Sequence[Bundle], photos: Sequence[bytes], source: str, target: Target, *, seconds: float
) -> Advice:
    """Serve each bundle with each number of threads worth trying, `seconds` for each figure."""
    cores = available_cpus()
    tries = [(bundle, threads) for bundle in bundles for threads in thread_counts(cores, inference_cores().threads)]
    requests = [raw("/predict")(photo) for photo in photos]
    with (
        watch_contention(cores) as watch,
        generator() as send,
        progress("measure this host", len(tries) + 1) as advance,
    ):
        measured = []
        for bundle, threads in tries:
            measured.append(_measure(bundle, threads, send, requests, seconds))
            advance()
        kernels = kernel_times(bundles[0])
        advance()
    options = [*measured, *extrapolate(measured)]
    return Advice(this_machine(), watch.seen, target, source, options, kernels, choose(options, target))


def thread_counts(cores: int, usual: int) -> list[int]:
    """1, 2, 4, … and all; and what the appliance takes by itself."""
    return sorted({*(2**power for power in range(cores.bit_length()) if 2**power <= cores), usual, cores})


def choose(options: Sequence[Option], target: Target) -> Option | None:
    """Of those that meet the target: what can be served as it is, then the largest input, then the fewest threads."""
    fitting = [option for option in options if target.met_by(option)]
    return min(fitting, key=lambda option: (not option.ready, -option.image_size, option.threads), default=None)


def extrapolate(measured: Sequence[Option]) -> list[Option]:
    """The other sizes: inference grows with the area of the input, all else stays.

    Through two or more measured sizes a straight line over the area; from one, its inference time scaled.
    """
    known = {option.image_size for option in measured}
    extrapolated = []
    for threads in sorted({option.threads for option in measured}):
        here = [option for option in measured if option.threads == threads]
        extrapolated += [_reckoned(size, here) for size in SIZES if size not in known]
    return extrapolated


def _reckoned(size: int, measured: Sequence[Option]) -> Option:
    nearest = min(measured, key=lambda option: abs(option.image_size - size))
    infer_ms = _infer_ms(size, measured)
    more_ms = infer_ms - nearest.infer_ms
    # Of the time that a photo takes a core, inference is its share of the lone client's latency.
    slower = 1 + more_ms / nearest.p50_ms
    return Option(
        bundle=None,
        path=None,
        image_size=size,
        threads=nearest.threads,
        p50_ms=nearest.p50_ms + more_ms,
        p95_ms=nearest.p95_ms + more_ms,
        photos_per_s=nearest.photos_per_s / slower,
        infer_ms=infer_ms,
        extrapolated=True,
    )


def _infer_ms(size: int, measured: Sequence[Option]) -> float:
    areas = [option.image_size**2 for option in measured]
    times = [option.infer_ms for option in measured]
    if len(set(areas)) > 1:
        slope, constant = np.polyfit(areas, times, 1)
        return float(max(constant + slope * size**2, min(times) * size**2 / max(areas)))
    return times[0] * size**2 / areas[0]


def _measure(bundle: Bundle, threads: int, send: Send, requests: list[bytes], seconds: float) -> Option:
    with serving(appliance(bundle.path, {"DANDELION_THREADS": str(threads)})) as server:

        def load(clients: int) -> Burst:
            return send(Order(server.port, requests, Closed(clients, seconds)))

        load(1)  # warm
        alone, busy = load(1), load(BUSY_CLIENTS)
    return Option(
        bundle=bundle.manifest.version,
        path=str(bundle.path),
        image_size=bundle.manifest.input.height,
        threads=threads,
        p50_ms=alone.quantile_ms(0.5),
        p95_ms=alone.quantile_ms(0.95),
        photos_per_s=busy.rate_per_s,
        infer_ms=float(np.median(alone.stages_ms.get("infer", [float("nan")]))),
        trained=bundle.manifest.weights != STAND_IN,
    )


def kernel_times(bundle: Bundle) -> list[KernelTime]:
    """Each arithmetic that the bundle has, in one thread; the chosen one is what the appliance would take here."""
    chosen = open_validated(bundle, threads=1).kernel
    spec = bundle.manifest.input
    pixels = draw(next(iter(PATTERNS)), 0, spec)[np.newaxis]
    kernels, sessions = zip(*_open_all(bundle), strict=True)
    took: list[list[float]] = [[] for _ in kernels]
    for _ in range(KERNEL_RUNS):
        for session, times in zip(sessions, took, strict=True):
            began = time.perf_counter()
            session.infer(pixels)
            times.append((time.perf_counter() - began) * 1000)
    return [
        KernelTime(kernel.precision, kernel.kernel, float(np.median(times)), kernel[:2] == chosen[:2])
        for kernel, times in zip(kernels, took, strict=True)
    ]


def _open_all(bundle: Bundle) -> Iterator[tuple[Kernel, InferenceSession]]:
    for kernel in available_kernels(bundle):
        with suppress(UnknownGraphError):  # onnxruntime's kernels compute any graph
            yield kernel, open_backend(bundle, kernel, threads=1)


def options_table(advice: Advice) -> Table:
    """One line an option."""
    table = Table(title=f"This host over HTTP, {advice.photos}")
    for column in ("bundle", "px", "threads", "p50 ms", "p95 ms", "most photos/s", "", "target"):
        table.add_column(column, justify="left" if column in {"bundle", "", "target"} else "right")
    extrapolated = False
    for option in advice.options:
        if option.extrapolated and not extrapolated:
            table.add_section()
        extrapolated = option.extrapolated
        table.add_row(
            option.bundle or "none yet",
            str(option.image_size),
            str(option.threads),
            f"{option.p50_ms:.1f}",
            f"{option.p95_ms:.1f}",
            f"{option.photos_per_s:.0f}",
            _known_by(option),
            "met" if advice.target.met_by(option) else "",
        )
    return table


def kernels_table(advice: Advice) -> Table:
    """One line a kernel: its name for DANDELION_NATIVE if it is the native one's, and its label."""
    table = Table(title="Arithmetic, one thread")
    for column in ("precision", "kernel", "", "ms a photo", "taken here"):
        table.add_column(column)
    for each in advice.kernels:
        table.add_row(
            each.precision, each.kernel, label_of(each.kernel), f"{each.infer_ms:.2f}", "yes" if each.chosen else ""
        )
    return table


def _known_by(option: Option) -> str:
    if option.extrapolated:
        return "extrapolated, not measured"
    return "measured" if option.trained else "measured, not trained for this size"


def wanted(target: Target) -> str:
    """The target in words."""
    parts = []
    if target.ms is not None:
        parts.append(f"95 of 100 answers to a lone client within {target.ms:g} ms")
    if target.rate is not None:
        parts.append(f"{target.rate:g} photos per second at {HEADROOM:.0%} load")
    return " and ".join(parts)


def recommendation(advice: Advice) -> str:
    """What to do, with the settings to paste."""
    best, target = advice.best, advice.target
    if best is None:
        return _shortfall(advice)
    chosen = next(kernel for kernel in advice.kernels if kernel.chosen)
    precision = f"{chosen.precision.upper()} ({label_of(chosen.kernel)}, which the appliance chooses by itself)"
    figures = f"p95 {best.p95_ms:.1f} ms, {best.photos_per_s:.0f} photos/s at most"
    threads = f"{best.threads} thread{'s' if best.threads > 1 else ''}"
    if not best.ready:
        return (
            f"no trained bundle that was measured gives {wanted(target)}; one of {best.image_size} px should "
            f"({figures}, {_known_by(best)}). Make it and measure again:\n\n  IMAGE_SIZE={best.image_size} make train\n"
        )
    return (
        f"for {wanted(target)}: {best.image_size} px, {threads}, {precision}; measured {figures}. "
        f"Settings to paste:\n\n  DANDELION_BUNDLE={best.path}\n  DANDELION_THREADS={best.threads}\n"
    )


def _shortfall(advice: Advice) -> str:
    target = advice.target
    text = f"this host cannot give {wanted(target)}, at none of these sizes"
    quickest = min(advice.options, key=lambda option: option.p95_ms)
    if target.ms is not None and quickest.p95_ms > target.ms:
        return f"{text}: the quickest, {quickest.image_size} px, takes {quickest.p95_ms:.1f} ms; take a faster CPU"
    most = max(option.photos_per_s for option in advice.options if not option.extrapolated)
    hosts = math.ceil((target.rate or 0) / (HEADROOM * most))
    return f"{text}: share the load between {hosts} such hosts with the measured bundle"
