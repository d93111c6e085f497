"""Batch-scoring throughput: one task against decoding and inference alone, and scaling over tasks."""

from __future__ import annotations

import functools
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import msgspec
import numpy as np
from rich.table import Table

from benchmarks.host.interference import Contention, watch_contention
from benchmarks.host.machine import Machine, this_machine
from benchmarks.statistics.goals import Goal
from benchmarks.statistics.samples import Estimate, interleave, median_of, ratio_of_medians
from runtime.batch.classify import classify
from runtime.batch.plan import plan_batch
from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import Bundle
from runtime.host.cpu import available_cpus
from runtime.image import decode, warm_up
from runtime.inference.backends import open_validated

IN_PROCESS, TASK, NARROW = "decoding and inference alone", "one task, all cores", "one task, one core"
SHARE = 0.8  # of the photos a second of decoding and inference alone
GAIN = 0.8  # of each further task's core


class BatchResult(msgspec.Struct, frozen=True):
    """Photos a second of each contender, round by round. Every task has `photos_per_task` photos, as by default."""

    machine: Machine
    neighbours: Contention
    bundle: str
    image_size: int
    photos: str
    photos_per_task: int
    rounds: int
    rates: dict[str, list[float]]
    goals: list[Goal]


def measure_batch(photos: Sequence[bytes], source: str, *, per_task: int, rounds: int) -> BatchResult:
    """Score `per_task` photos a task with the default bundle, from a folder; the contenders take turns.

    A task pays for all that it does: it verifies, loads and proves the model, reads the photos and keeps its rows.
    """
    cores = available_cpus()
    manifest = Bundle.open(default_bundle()).manifest
    # The processes end within the watch: their work counts as ours.
    with tempfile.TemporaryDirectory() as name, watch_contention(cores) as watch, _processes(cores) as run:
        folder = Path(name)
        _write(photos, per_task, folder / "photos")
        at_once = f"{cores} tasks at once, one core each"
        turns: dict[str, Callable[[], float]] = {
            IN_PROCESS: lambda: per_task / max(run(_alone, folder, cores)),
            TASK: lambda: per_task / max(run(_task, folder, cores)),
            NARROW: lambda: per_task / max(run(_task, folder, 1)),
        }
        if cores > 1:
            turns[at_once] = lambda: cores * per_task / max(run(_task, folder, 1, tasks=cores))
        rates = interleave(turns, rounds, warm_up=1, what="batch")
    return BatchResult(
        machine=this_machine(),
        neighbours=watch.seen,
        bundle=manifest.version,
        image_size=manifest.input.height,
        photos=source,
        photos_per_task=per_task,
        rounds=rounds,
        rates=rates,
        goals=batch_goals(rates, cores),
    )


def batch_goals(rates: dict[str, list[float]], cores: int) -> list[Goal]:
    """A task against decoding and inference alone, and several tasks at once against one."""
    share = ratio_of_medians(rates[TASK], rates[IN_PROCESS])
    goals = [Goal(f"photos a second, {TASK}, over {IN_PROCESS}", share, "at least", SHARE, len(rates[TASK]))]
    for name, several in rates.items():
        if name not in {IN_PROCESS, TASK, NARROW}:
            gain: Estimate = ratio_of_medians(several, rates[NARROW])
            goals.append(Goal(f"photos a second, {name}, over one", gain, "at least", GAIN * cores, len(several)))
    return goals


def batch_table(result: BatchResult) -> Table:
    """One line a contender."""
    table = Table(
        title=f"Batch scoring, {result.photos_per_task} photos a task "
        f"(bundle {result.bundle}, {result.image_size} px; {result.photos})"
    )
    for column in ("", "photos/s", "95 % interval"):
        table.add_column(column, justify="right" if column else "left")
    for name, rates in result.rates.items():
        middle = median_of(rates)
        table.add_row(name, f"{middle.value:.0f}", f"{middle.low:.0f} to {middle.high:.0f}")
    return table


@contextmanager
def _processes(cores: int) -> Iterator[Callable[..., list[float]]]:
    """A function that runs another in `tasks` processes at once, and returns the seconds that each took."""
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:

        def run(job: Callable[[Path, int], float], folder: Path, threads: int, *, tasks: int = 1) -> list[float]:
            return [each.result() for each in [pool.submit(job, folder, threads) for _ in range(tasks)]]

        yield run


def _write(photos: Sequence[bytes], count: int, folder: Path) -> None:
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:05}.jpg").write_bytes(photos[number % len(photos)])


def _task(folder: Path, threads: int) -> float:
    """Seconds of one task, as the scheduler starts it: the plan is there already."""
    with tempfile.TemporaryDirectory() as work:
        plan_batch(str(folder / "photos"), work, photos_per_part=10**6)
        began = time.perf_counter()
        counts = classify(work, 0, cache=Path(work, "cache"), threads=threads)
        took = time.perf_counter() - began
    if counts.errors:
        raise ValueError(f"{counts.errors} of {counts.photos} photos had no answer: give photos that can be decoded")
    return took


def _alone(folder: Path, threads: int) -> float:
    """Seconds of decoding and inference of the same photos, in memory, by a model that is loaded."""
    photos = [file.read_bytes() for file in sorted((folder / "photos").iterdir())]
    see = _pipeline()
    with ThreadPoolExecutor(threads) as pool:
        began = time.perf_counter()
        for _ in pool.map(see, photos):
            pass
        return time.perf_counter() - began


@functools.cache
def _pipeline() -> Callable[[bytes], int]:
    bundle = Bundle.open(default_bundle())
    session = open_validated(bundle, threads=1).session
    warm_up()

    def see(data: bytes) -> int:
        pixels = decode(data, bundle.manifest.input)
        return int(session.infer(pixels[np.newaxis]).probabilities.argmax())

    return see
