"""Bare INT8 inference: this appliance against OpenVINO and against the CPU's INT8 peak."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import msgspec
import numpy as np
from rich.table import Table

from benchmarks.contenders.environments import environment, python_of
from benchmarks.host.interference import Contention, watch_contention
from benchmarks.host.machine import Machine, this_machine
from benchmarks.measurements.arithmetic import PRODUCTS, macs, write_product
from benchmarks.peers.catalogue import requirements_of
from benchmarks.statistics.goals import Goal
from benchmarks.statistics.samples import Estimate, interleave, median_of, ratio_of_medians
from runtime.bundle.manifest import Bundle
from runtime.errors import Refusal
from runtime.host.cores import inference_cores
from runtime.native.library import library

PROGRAMS = Path(__file__).with_name("session_programs")
RUNS = 8  # in a turn; their median is its sample
ENDING_S = 10
OPENVINO_ENVIRONMENT = "fastapi-openvino"
SERVED, ONNXRUNTIME, OPENVINO = "this appliance, INT8, as served", "onnxruntime, INT8", "OpenVINO, INT8"
PRODUCT = "INT8 matrix product"  # by onnxruntime or by our kernel, in some sizes: the fastest is the peak
LEVEL = 1.03  # times as long: no one notices

Run = Callable[[int], list[float]]


class Row(msgspec.Struct, frozen=True):
    """One contender; `samples_ms` are the turns' medians, `gmacs` its billions of products a second."""

    name: str
    threads: int
    median_ms: Estimate
    gmacs: float
    samples_ms: list[float]


class SessionsResult(msgspec.Struct, frozen=True):
    """The rows of one bundle; `macs` are those of one photo."""

    machine: Machine
    neighbours: Contention
    bundle: str
    image_size: int
    rounds: int
    macs: int
    rows: list[Row]
    goals: list[Goal]


def measure_sessions(
    bundle: Bundle, *, rounds: int, environments: Path, install: bool = True, openvino: bool = True
) -> SessionsResult:
    """Measure with one thread and with all; each contender in a process of its own.

    Raises NotInstalled where OpenVINO cannot be installed.
    """
    size = bundle.manifest.input.height
    python = python_of(_openvino(environments, install=install)) if openvino else None
    every = inference_cores().threads
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder, watch_contention(every) as watch:
        products = [Path(folder) / f"{number}.onnx" for number in range(len(PRODUCTS))]
        product_macs = [write_product(file, *shape) for file, shape in zip(products, PRODUCTS, strict=True)]
        model_macs = macs(bundle.model)
        for threads in sorted({1, every}):
            with ExitStack() as stack:
                served = [Path(sys.executable), PROGRAMS / "bundle_session.py"]
                plain = [Path(sys.executable), PROGRAMS / "onnxruntime_session.py"]
                runs = {
                    SERVED: stack.enter_context(_session(served, str(bundle.path.resolve()), threads)),
                    ONNXRUNTIME: stack.enter_context(_session(plain, str(bundle.model.resolve()), threads)),
                }
                work = {SERVED: model_macs, ONNXRUNTIME: model_macs}
                if python is not None:
                    theirs = [python, PROGRAMS / "openvino_session.py"]
                    runs[OPENVINO] = stack.enter_context(_session(theirs, str(bundle.model.resolve()), threads))
                    work[OPENVINO] = model_macs
                for file, shape, count in zip(products, PRODUCTS, product_macs, strict=True):
                    name = f"{PRODUCT} {' x '.join(map(str, shape))}"
                    runs[name] = stack.enter_context(_session(plain, str(file), threads))
                    work[name] = count
                    if library():
                        ours = [Path(sys.executable), PROGRAMS / "native_product.py"]
                        words = " ".join(map(str, shape))
                        runs[f"{name}, our kernel"] = stack.enter_context(_session(ours, words, threads))
                        work[f"{name}, our kernel"] = count
                turns = {name: functools.partial(_turn, run) for name, run in runs.items()}
                samples = interleave(turns, rounds, what=f"{threads} thread{'s' if threads > 1 else ''}")
            rows += [_row(name, threads, samples[name], work[name]) for name in runs]
    return SessionsResult(
        machine=this_machine(),
        neighbours=watch.seen,
        bundle=bundle.manifest.version,
        image_size=size,
        rounds=rounds,
        macs=model_macs,
        rows=rows,
        goals=session_goals(rows),
    )


def session_goals(rows: Sequence[Row]) -> list[Goal]:
    """Level with OpenVINO; and the fraction of the peak, which is the fastest of the matrix products."""
    goals = []
    for threads in sorted({row.threads for row in rows}):
        here = [row for row in rows if row.threads == threads]
        ours = next(row for row in here if row.name == SERVED)
        theirs = [row for row in here if row.name == OPENVINO]
        what = f"{threads} thread{'s' if threads > 1 else ''}"
        if theirs:
            ratio = ratio_of_medians(ours.samples_ms, theirs[0].samples_ms)
            goals.append(Goal(f"time over OpenVINO's, {what}", ratio, "at most", LEVEL, len(ours.samples_ms)))
        peak = max((row for row in here if row.name.startswith(PRODUCT)), key=lambda row: row.gmacs)
        if threads == 1:
            fraction = _fraction(ours, peak)
            goals.append(Goal(f"fraction of the INT8 peak, {what}", fraction, "at least", 0.6, len(ours.samples_ms)))
    return goals


def _fraction(ours: Row, peak: Row) -> Estimate:
    """Products a second of the model over those of the matrix product."""
    work = (ours.gmacs * ours.median_ms.value) / (peak.gmacs * peak.median_ms.value)
    return ratio_of_medians([work * ms for ms in peak.samples_ms], ours.samples_ms)


def _turn(run: Run) -> float:
    return float(np.median(run(RUNS)))


def _row(name: str, threads: int, samples_ms: list[float], work: int) -> Row:
    middle = median_of(samples_ms)
    return Row(name, threads, middle, work / middle.value / 1e6, samples_ms)


@contextmanager
def _session(program: Sequence[Path], model: str, threads: int) -> Iterator[Run]:
    """A session, or a product, in a process of its own; raises Refusal with its last words where it ends early."""
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [*map(str, program), model, str(threads)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(root)},
    )
    assert process.stdin is not None  # noqa: S101 - all three are pipes
    assert process.stdout is not None  # noqa: S101
    asked, told = process.stdin, process.stdout

    def run(count: int) -> list[float]:
        try:
            asked.write(f"{count}\n")
            asked.flush()
        except BrokenPipeError:
            line = ""
        else:
            line = told.readline()
        if not line:
            said = process.stderr.read().strip().splitlines() if process.stderr else []
            raise Refusal(f"{program[-1].stem} ended: {said[-1] if said else 'it said nothing'}")
        took: list[float] = json.loads(line)
        return took

    try:
        yield run
    finally:
        with suppress(BrokenPipeError):  # it has ended, and what could not be written is tried again
            asked.close()
        try:
            process.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        told.close()
        if process.stderr:
            process.stderr.close()


def _openvino(environments: Path, *, install: bool) -> Path:
    name = OPENVINO_ENVIRONMENT
    return environment(requirements_of(name), environments / name, install=install)


def sessions_table(result: SessionsResult) -> Table:
    """One line a contender and number of threads."""
    table = Table(
        title=f"Bare sessions (bundle {result.bundle}, {result.image_size} px, {result.macs / 1e9:.2f} billion "
        "multiply-adds a photo)"
    )
    for column in ("threads", "", "median, ms", "95 % interval", "billion/s", "of the peak"):
        table.add_column(column, justify="left" if not column else "right")
    for threads in sorted({row.threads for row in result.rows}):
        rows = [row for row in result.rows if row.threads == threads]
        peak = max(row.gmacs for row in rows if row.name.startswith(PRODUCT))
        for row in rows:
            table.add_row(
                str(threads),
                row.name,
                f"{row.median_ms.value:.2f}",
                f"{row.median_ms.low:.2f} to {row.median_ms.high:.2f}",
                f"{row.gmacs:.0f}",
                f"{row.gmacs / peak:.2f}",
                end_section=row is rows[-1],
            )
    return table
