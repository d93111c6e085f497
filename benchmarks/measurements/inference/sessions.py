"""Bare inference: the kernels of this appliance against onnxruntime, OpenVINO and the CPU's INT8 peak."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import msgspec
import numpy as np
import onnx
from rich.table import Table

from benchmarks.contenders.dequantized import dequantized
from benchmarks.contenders.environments import environment, python_of
from benchmarks.host.interference import Contention, watch_contention
from benchmarks.host.machine import Machine, this_machine
from benchmarks.measurements.inference.arithmetic import PRODUCTS, macs, write_product
from benchmarks.measurements.inference.instruction_sets import kernels_to_measure, require_sets, served_kernel
from benchmarks.measurements.inference.session_goals import FP32, ONNXRUNTIME, OPENVINO, PRODUCT, Row, session_goals
from benchmarks.peers.catalogue import requirements_of
from benchmarks.statistics.goals import Goal
from benchmarks.statistics.samples import interleave, median_of
from runtime.bundle.manifest import Bundle
from runtime.errors import Refusal
from runtime.host.cores import inference_cores
from runtime.inference.backends import NATIVE, Name
from runtime.inference.kernel_labels import LABELS
from runtime.native.layout import Instructions
from runtime.native.library import VARIABLE, library

PROGRAMS = Path(__file__).with_name("session_programs")
RUNS = 8  # in a turn; their median is its sample
ENDING_S = 10
OPENVINO_ENVIRONMENT = "fastapi-openvino"

Run = Callable[[int], list[float]]


class Contender(NamedTuple):
    """`program` with `arguments`, and the number of threads behind them; `work` are the products of one run.

    `environment` is added to ours; `kernel` is what our session computes with, empty for the others.
    """

    name: str
    program: Sequence[Path]
    arguments: tuple[str, ...]
    work: int
    environment: Mapping[str, str] = MappingProxyType({})
    kernel: str = ""


class SessionsResult(msgspec.Struct, frozen=True):
    """The rows of one bundle; `macs` are those of one photo, `served` is the kernel that the appliance takes here."""

    machine: Machine
    neighbours: Contention
    bundle: str
    image_size: int
    rounds: int
    macs: int
    rows: list[Row]
    goals: list[Goal]
    served: str = ""


def measure_sessions(
    bundle: Bundle,
    *,
    rounds: int,
    environments: Path,
    wanted: Sequence[Instructions] = (),
    install: bool = True,
    openvino: bool = True,
    peak: bool = True,
) -> SessionsResult:
    """Measure with one thread and with all; each contender in a process of its own.

    Of our kernel the instruction sets that are `wanted` take part, or what serves and each slower one of this host.
    Raises NotInstalled where OpenVINO cannot be installed, Refusal for instructions that this host lacks.
    """
    require_sets(wanted)
    served = served_kernel(bundle)
    kernels = kernels_to_measure(wanted, served)
    python = python_of(_openvino(environments, install=install)) if openvino else None
    every = inference_cores().threads
    model_macs = macs(bundle.model)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder, watch_contention(every) as watch:
        contenders = [
            *_models(bundle, kernels, python, Path(folder), model_macs),
            *(_products(Path(folder)) if peak else []),
        ]
        for threads in sorted({1, every}):
            with ExitStack() as stack:
                runs = {each.name: stack.enter_context(open_session(each, threads)) for each in contenders}
                turns = {name: functools.partial(_turn, run) for name, run in runs.items()}
                samples = interleave(turns, rounds, what=f"{threads} thread{'s' if threads > 1 else ''}")
            rows += [_row(each, threads, samples[each.name]) for each in contenders]
    size = bundle.manifest.input.height
    return SessionsResult(
        machine=this_machine(),
        neighbours=watch.seen,
        bundle=bundle.manifest.version,
        image_size=size,
        rounds=rounds,
        macs=model_macs,
        rows=rows,
        goals=session_goals(rows, served, size),
        served=served,
    )


def ours(kernel: Name) -> str:
    """The name of the row of our session with this kernel."""
    return f"this appliance, {LABELS[kernel]}"


def _models(
    bundle: Bundle, kernels: Sequence[Name], openvino: Path | None, folder: Path, work: int
) -> Iterator[Contender]:
    """The bundle's network: with our kernels, in onnxruntime, in FP32 and INT8, and with OpenVINO's interpreter."""
    own, plain = PROGRAMS / "bundle_session.py", PROGRAMS / "onnxruntime_session.py"
    model, here = str(bundle.model.resolve()), Path(sys.executable)
    for kernel in kernels:
        environment = {VARIABLE: kernel} if kernel in NATIVE else {}
        yield Contender(ours(kernel), [here, own], (str(bundle.path.resolve()), kernel), work, environment, kernel)
    yield Contender(ONNXRUNTIME, [here, plain], (model,), work)
    yield Contender(FP32, [here, plain], (str(_fp32(bundle, folder)),), work)
    if openvino is not None:
        yield Contender(OPENVINO, [openvino, PROGRAMS / "openvino_session.py"], (model,), work)


def _fp32(bundle: Bundle, folder: Path) -> Path:
    """The bundle's FP32 file; if it has none, the INT8 network with its quantisation taken out."""
    if bundle.fp32_model:
        return bundle.fp32_model.resolve()
    file = folder / "fp32.onnx"
    onnx.save(dequantized(onnx.load(bundle.model)), file)
    return file


def _products(folder: Path) -> Iterator[Contender]:
    """Matrix products, each by onnxruntime and by our kernel with this host's fastest instructions."""
    here = Path(sys.executable)
    for number, shape in enumerate(PRODUCTS):
        file, name = folder / f"{number}.onnx", f"{PRODUCT} {' x '.join(map(str, shape))}"
        work = write_product(file, *shape)
        yield Contender(name, [here, PROGRAMS / "onnxruntime_session.py"], (str(file),), work)
        if library():
            words = " ".join(map(str, shape))
            yield Contender(f"{name}, our kernel", [here, PROGRAMS / "native_product.py"], (words,), work)


def _turn(run: Run) -> float:
    return float(np.median(run(RUNS)))


def _row(contender: Contender, threads: int, samples_ms: list[float]) -> Row:
    middle = median_of(samples_ms)
    return Row(contender.name, threads, middle, contender.work / middle.value / 1e6, samples_ms, contender.kernel)


@contextmanager
def open_session(contender: Contender, threads: int) -> Iterator[Run]:
    """A session, or a product, in a process of its own; raises Refusal with its last words where it ends early."""
    root = Path(__file__).parents[3]
    process = subprocess.Popen(
        [*map(str, contender.program), *contender.arguments, str(threads)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(root)} | dict(contender.environment),
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
            raise Refusal(f"{contender.program[-1].stem} ended: {said[-1] if said else 'it said nothing'}")
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
    with_peak = any(row.name.startswith(PRODUCT) for row in result.rows)
    for column in ("threads", "", "median, ms", "95 % interval", "billion/s", *(["of the peak"] if with_peak else [])):
        table.add_column(column, justify="left" if not column else "right")
    for threads in sorted({row.threads for row in result.rows}):
        rows = [row for row in result.rows if row.threads == threads]
        peak = max((row.gmacs for row in rows if row.name.startswith(PRODUCT)), default=None)
        for row in rows:
            table.add_row(
                str(threads),
                f"{row.name} (serves here)" if row.kernel and row.kernel == result.served else row.name,
                f"{row.median_ms.value:.2f}",
                f"{row.median_ms.low:.2f} to {row.median_ms.high:.2f}",
                f"{row.gmacs:.0f}",
                *([] if peak is None else [f"{row.gmacs / peak:.2f}"]),
                end_section=row is rows[-1],
            )
    return table
