"""Load test over HTTP: throughput, latency quantiles, overload; in-process latency in the same rounds."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median
from typing import NamedTuple

import msgspec
import numpy as np
from rich.table import Table

from benchmarks.contenders.pipelines import bundle_pipeline
from benchmarks.contenders.servers import Server, appliance, serving
from benchmarks.contenders.subprocesses import Burst as InProcess
from benchmarks.contenders.subprocesses import isolated
from benchmarks.host.interference import Contention, watch_contention
from benchmarks.host.machine import Machine, this_machine
from benchmarks.load_generator.generator import Send, generator
from benchmarks.load_generator.plans import Burst, Closed, Open, Order, describe_statuses, pooled
from benchmarks.load_generator.raw_requests import Encode
from benchmarks.statistics.goals import Goal, counted
from benchmarks.statistics.samples import Estimate, interleave, median_of, ratio_of_medians
from runtime.bundle.manifest import Bundle
from runtime.host.cores import inference_cores
from runtime.host.cpu import available_cpus

CLIENTS = (1, 4, 16, 64)
SATURATING = 16  # clients: enough to keep every core of a small host busy, few enough not to queue for long
OPEN_SHARES = (0.5, 0.8)  # of the sustainable rate
LARGE_SIZE = 224  # px; from there on the server's own work weighs less, and more is asked of it
ONE_THREAD, ALL_THREADS = "in process, one thread", "in process, all threads"
OVERLOAD_PAUSE_S = 1.0


class Point(msgspec.Struct, frozen=True):
    """One way of loading the server, over all rounds.

    `clients` of a closed loop, else `arrivals_per_s` of an open one. `p50_ms` is of the rounds' medians, the other
    quantiles are of all requests. `server_cpu_ms` is the server's work for one photo, `generator_cores` the cores that
    the load generator itself took, and `late_ms` (99th percentile) how late it was with an arrival.
    """

    name: str
    clients: int | None
    arrivals_per_s: float | None
    photos_per_s: Estimate
    p50_ms: Estimate
    p95_ms: float
    p99_ms: float
    server_cpu_ms: float
    generator_cores: float
    late_ms: float
    statuses: dict[str, int]
    stages_ms: dict[str, float]
    bursts: list[Burst]


class Overload(msgspec.Struct, frozen=True):
    """Arrivals at `times` the sustainable rate; the p50 of one client before and after it says whether it recovered."""

    times: float
    arrivals_per_s: float
    seconds: float
    budget_ms: float
    p50_before_ms: list[float]
    p50_after_ms: list[float]
    burst: Burst

    @property
    def unexpected(self) -> int:
        """Answers that are neither 200 nor a 503 that says when to come again."""
        answers = zip(self.burst.status, self.burst.retry_after, strict=True)
        return sum(status != 200 and not (status == 503 and retry) for status, retry in answers)


class Served(msgspec.Struct, frozen=True):
    """One bundle: each round's medians in process (ms), the points, and the figures to reach."""

    bundle: str
    image_size: int
    in_process_ms: dict[str, list[float]]
    points: list[Point]
    overload: Overload | None
    goals: list[Goal]


class LoadResult(msgspec.Struct, frozen=True):
    """All bundles, one after another."""

    machine: Machine
    neighbours: Contention
    photos: str
    rounds: int
    seconds: float
    threads: int
    body: str
    served: list[Served]


class OverloadPlan(NamedTuple):
    """How hard to press: `times` the sustainable rate for `seconds`, against a waiting budget."""

    times: float
    seconds: float
    budget_ms: float


class _Turn(NamedTuple):
    """One contender in one round: a burst over HTTP and the server's work for it, or the totals in process, ms."""

    burst: Burst | None
    server_cpu_s: float
    totals_ms: list[float]


def measure_load(
    bundles: Sequence[Bundle],
    photos: Sequence[bytes],
    source: str,
    encode: Encode,
    *,
    body: str,
    rounds: int,
    seconds: float,
    threads: int | None = None,
    clients: Sequence[int] = CLIENTS,
    overload: OverloadPlan | None = None,
) -> LoadResult:
    """Load the appliance with each bundle in turn; `encode` makes a request of a photo.

    `threads` are those of one inference, in process and in the server; what the appliance chooses if None. `clients`
    must hold 1 and SATURATING, which the figures are made of.
    """
    every = threads or inference_cores().threads
    requests = [encode(photo) for photo in photos]
    settings = {"DANDELION_THREADS": str(every)}
    served = []
    with watch_contention(available_cpus()) as watch:
        for bundle in bundles:
            with (
                serving(appliance(bundle.path, settings)) as server,
                generator() as send,
                _in_process(bundle, every) as in_process,
            ):
                watch.include(server.pid)
                bench = _Bench(server, send, requests, seconds)
                served.append(_measure(bench, bundle, in_process, photos, rounds, clients, overload))
    return LoadResult(this_machine(), watch.seen, source, rounds, seconds, every, body, served)


class _Bench(NamedTuple):
    """A server under test and what loads it."""

    server: Server
    send: Send
    requests: list[bytes]
    seconds: float

    def turn(self, plan: Closed | Open) -> _Turn:
        before = self.server.cpu_s()
        burst = self.send(Order(self.server.port, self.requests, plan))
        return _Turn(burst, self.server.cpu_s() - before, [])


@contextmanager
def _in_process(bundle: Bundle, every: int) -> Iterator[Mapping[str, InProcess]]:
    makers = {name: functools.partial(bundle_pipeline, bundle, threads)
              for name, threads in ((ONE_THREAD, 1), (ALL_THREADS, every))}  # fmt: skip
    with isolated(makers) as contenders:
        yield contenders


def _measure(
    bench: _Bench,
    bundle: Bundle,
    in_process: Mapping[str, InProcess],
    photos: Sequence[bytes],
    rounds: int,
    clients: Sequence[int],
    overload: OverloadPlan | None,
) -> Served:
    size = bundle.manifest.input.height
    sustainable = bench.turn(Closed(SATURATING, bench.seconds)).burst
    assert sustainable is not None  # noqa: S101 - it was sent
    plans: dict[str, Closed | Open] = {_clients(count): Closed(count, bench.seconds) for count in clients}
    for share in OPEN_SHARES if sustainable.rate_per_s else ():
        plans[f"arrivals, {share:.0%} of the most"] = Open(share * sustainable.rate_per_s, bench.seconds)

    def totals(burst: InProcess) -> _Turn:
        return _Turn(None, 0.0, [stages.total for stages in burst(photos)])

    turns: dict[str, Callable[[], _Turn]] = {name: functools.partial(totals, run) for name, run in in_process.items()}
    turns |= {name: functools.partial(bench.turn, plan) for name, plan in plans.items()}
    samples = interleave(turns, rounds, warm_up=1, what=f"load, {size} px")
    in_process_ms = {name: [float(np.median(turn.totals_ms)) for turn in samples[name]] for name in in_process}
    points = [_point(name, plan, samples[name]) for name, plan in plans.items()]
    pressed = None if overload is None else _press(bench, overload, points)
    goals = load_goals(size, points, in_process_ms, pressed)
    return Served(bundle.manifest.version, size, in_process_ms, points, pressed, goals)


def _clients(count: int) -> str:
    return f"{count} client{'s' if count > 1 else ''}"


def _point(name: str, plan: Closed | Open, turns: Sequence[_Turn]) -> Point:
    bursts = [turn.burst for turn in turns if turn.burst is not None]
    latencies = pooled(bursts) or [float("nan")]
    stages = {stage: [ms for burst in bursts for ms in burst.stages_ms[stage]] for stage in bursts[0].stages_ms}
    statuses: dict[str, int] = {}
    for burst in bursts:
        for status, count in burst.statuses().items():
            statuses[status] = statuses.get(status, 0) + count
    p95, p99 = np.quantile(latencies, [0.95, 0.99])
    return Point(
        name=name,
        clients=plan.clients if isinstance(plan, Closed) else None,
        arrivals_per_s=plan.rate_per_s if isinstance(plan, Open) else None,
        photos_per_s=median_of([burst.rate_per_s for burst in bursts]),
        p50_ms=median_of([burst.quantile_ms(0.5) for burst in bursts]),
        p95_ms=float(p95),
        p99_ms=float(p99),
        server_cpu_ms=1000 * sum(turn.server_cpu_s for turn in turns) / max(1, sum(b.answered for b in bursts)),
        generator_cores=sum(burst.cpu_s for burst in bursts) / sum(burst.seconds for burst in bursts),
        late_ms=float(np.quantile([late for burst in bursts for late in burst.late_ms] or [0.0], 0.99)),
        statuses=statuses,
        stages_ms={stage: float(np.median(values)) for stage, values in stages.items()},
        bursts=bursts,
    )


def _press(bench: _Bench, plan: OverloadPlan, points: Sequence[Point]) -> Overload:
    """Press, wait a moment, and look whether one client is served as before."""
    alone, most = _of(points, 1), _of(points, SATURATING)
    rate = plan.times * most.photos_per_s.value
    burst = bench.send(Order(bench.server.port, bench.requests, Open(rate, plan.seconds, connections=1024)))
    bench.send(Order(bench.server.port, bench.requests, Closed(1, OVERLOAD_PAUSE_S)))
    after = [bench.send(Order(bench.server.port, bench.requests, Closed(1, bench.seconds))) for _ in alone.bursts]
    return Overload(
        times=plan.times,
        arrivals_per_s=rate,
        seconds=plan.seconds,
        budget_ms=plan.budget_ms,
        p50_before_ms=[burst.quantile_ms(0.5) for burst in alone.bursts],
        p50_after_ms=[burst.quantile_ms(0.5) for burst in after],
        burst=burst,
    )


def load_goals(
    image_size: int, points: Sequence[Point], in_process_ms: Mapping[str, list[float]], overload: Overload | None
) -> list[Goal]:
    """The figures of one bundle, as ratios within the run; the limits are the product's own."""
    alone, most = _of(points, 1), _of(points, SATURATING)
    p50 = [burst.quantile_ms(0.5) for burst in alone.bursts]
    # What the cores could do if the server cost nothing: each its own photos, one thread each.
    bound = [available_cpus() * 1000 / ms for ms in in_process_ms[ONE_THREAD]]
    rates = [burst.rate_per_s for burst in most.bursts]
    goals = [
        Goal("HTTP p50 at 1 client over in process", ratio_of_medians(p50, in_process_ms[ALL_THREADS]),
             "at most", 1.3, len(p50)),
        Goal(f"photos/s at {SATURATING} clients over cores / one-thread time", ratio_of_medians(rates, bound),
             "at least", 0.85 if image_size >= LARGE_SIZE else 0.75, len(rates)),
    ]  # fmt: skip
    return goals if overload is None else [*goals, *_overload_goals(overload)]


def _overload_goals(overload: Overload) -> list[Goal]:
    recovered = ratio_of_medians(overload.p50_after_ms, overload.p50_before_ms)
    load = f"{overload.times:g} x the load"
    return [
        counted(f"{load}: answers neither 200 nor 503 with Retry-After", overload.unexpected, "at most", 0),
        counted(f"{load}: accepted p99 over the budget", overload.burst.quantile_ms(0.99) / overload.budget_ms,
                "at most", 2.0),
        Goal("p50 at 1 client afterwards over before", recovered, "at most", 1.2, len(overload.p50_after_ms)),
    ]  # fmt: skip


def _of(points: Sequence[Point], clients: int) -> Point:
    return next(point for point in points if point.clients == clients)


def load_table(served: Served, photos: str) -> Table:
    """One line a way of loading; in process first."""
    table = Table(title=f"Over HTTP (bundle {served.bundle}, {served.image_size} px; {photos}); ms")
    columns = ("", "photos/s", "95 % interval", "p50", "p95", "p99", "queue + HTTP", "decode", "infer", "server CPU",
               "generator", "late", "answers")  # fmt: skip
    for column in columns:
        table.add_column(column, justify="left" if column in {"", "answers"} else "right")
    for name, rounds_ms in served.in_process_ms.items():
        table.add_row(name, "", "", f"{median(rounds_ms):.2f}")
    table.add_section()
    for point in served.points:
        table.add_row(*_cells(point))
    if served.overload is not None:
        table.add_section()
        table.add_row(*_pressed(served.overload))
    return table


def _cells(point: Point) -> list[str]:
    decode, infer = (point.stages_ms.get(stage, float("nan")) for stage in ("decode", "infer"))
    return [
        point.name,
        f"{point.photos_per_s.value:.1f}",
        f"{point.photos_per_s.low:.1f} to {point.photos_per_s.high:.1f}",
        f"{point.p50_ms.value:.2f}",
        f"{point.p95_ms:.2f}",
        f"{point.p99_ms:.2f}",
        f"{point.p50_ms.value - decode - infer:.2f}",
        f"{decode:.2f}",
        f"{infer:.2f}",
        f"{point.server_cpu_ms:.2f}",
        f"{point.generator_cores:.2f} cores",
        f"{point.late_ms:.1f}" if point.arrivals_per_s else "",
        describe_statuses(point.statuses),
    ]


def _pressed(overload: Overload) -> list[str]:
    burst = overload.burst
    return [
        f"{overload.arrivals_per_s:.0f} arrivals/s ({overload.times:g} x)",
        f"{burst.rate_per_s:.1f}",
        "",
        *(f"{burst.quantile_ms(share):.2f}" for share in (0.5, 0.95, 0.99)),
        *[""] * 4,
        f"{burst.cpu_s / burst.seconds:.2f} cores",
        "",
        describe_statuses(burst.statuses()),
    ]
