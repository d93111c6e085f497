"""JPEG bytes to label against another checkout: each with its own code and its own default bundle."""

from __future__ import annotations

import functools
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec
import numpy as np
from rich.table import Table

from benchmarks.contenders.checkouts import NEUTRAL, OTHER, THIS, Checkout, require_own_code
from benchmarks.contenders.servers import ROOT
from benchmarks.host.interference import Contention, watch_contention
from benchmarks.host.machine import Machine, this_machine
from benchmarks.measurements.inference.sessions import PROGRAMS, Contender, Run, open_session
from benchmarks.statistics.goals import Goal
from benchmarks.statistics.samples import Estimate, interleave, median_of, ratio_of_medians
from runtime.host.cores import inference_cores

AT_MOST = 1.25  # times as long as the other's


class AgainstRow(msgspec.Struct, frozen=True):
    """One number of threads: medians of both checkouts in ms, and this one's times the other's."""

    threads: int
    this_ms: Estimate
    other_ms: Estimate
    ratio: Estimate


class LatencyAgainstResult(msgspec.Struct, frozen=True):
    """`samples_ms`: by number of threads and checkout, each turn's median; `against` is the other one's folder."""

    machine: Machine
    neighbours: Contention
    photos: str
    against: str
    rounds: int
    samples_ms: dict[int, dict[str, list[float]]]
    rows: list[AgainstRow]
    goals: list[Goal]


def measure_against(against: Path, photos: Sequence[bytes], source: str, *, rounds: int) -> LatencyAgainstResult:
    """Measure both default bundles in turn on `photos`, with one thread and with all.

    Raises Refusal where `against` is no checkout, or has no default bundle that it can open.
    """
    every = inference_cores().threads
    checkouts = {THIS: ROOT, OTHER: against.resolve()}
    samples: dict[int, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder, watch_contention(every) as watch:
        require_own_code(Checkout(OTHER, checkouts[OTHER], None).alone(Path(folder)))
        for number, photo in enumerate(photos):
            Path(folder, f"{number:04}.jpg").write_bytes(photo)
        for threads in sorted({1, every}):
            with ExitStack() as stack:
                turns = {
                    name: functools.partial(
                        _turn, stack.enter_context(open_session(_contender(name, at, folder), threads)), len(photos)
                    )
                    for name, at in checkouts.items()
                }
                samples[threads] = interleave(turns, rounds, what=f"{threads} thread{'s' if threads > 1 else ''}")
    rows = [_row(threads, both) for threads, both in samples.items()]
    return LatencyAgainstResult(
        machine=this_machine(),
        neighbours=watch.seen,
        photos=source,
        against=str(against),
        rounds=rounds,
        samples_ms=samples,
        rows=rows,
        goals=[_goal(row, rounds) for row in rows],
    )


def _contender(name: str, checkout: Path, photos: str) -> Contender:
    program = [Path(sys.executable), PROGRAMS / "checkout_labels.py"]
    return Contender(name, program, (photos, str(checkout)), 1, NEUTRAL | {"PYTHONPATH": str(checkout)})


def _turn(run: Run, photos: int) -> float:
    return float(np.median(run(photos)))


def _row(threads: int, both: Mapping[str, Sequence[float]]) -> AgainstRow:
    ours, theirs = both[THIS], both[OTHER]
    return AgainstRow(threads, median_of(ours), median_of(theirs), ratio_of_medians(ours, theirs))


def _goal(row: AgainstRow, rounds: int) -> Goal:
    what = f"JPEG bytes to label, times the other's, {row.threads} thread{'s' if row.threads > 1 else ''}"
    return Goal(what, row.ratio, "at most", AT_MOST, rounds)


def against_table(result: LatencyAgainstResult) -> Table:
    """One line a number of threads."""
    table = Table(title=f"JPEG bytes to label, ms ({result.photos}; against {result.against})")
    for column in ("threads", THIS, OTHER, "ratio", "95 % interval"):
        table.add_column(column, justify="right")
    for row in result.rows:
        table.add_row(
            str(row.threads),
            f"{row.this_ms.value:.2f}",
            f"{row.other_ms.value:.2f}",
            f"{row.ratio.value:.2f}",
            f"{row.ratio.low:.2f} to {row.ratio.high:.2f}",
        )
    return table
