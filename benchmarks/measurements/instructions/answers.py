"""Whether the kernel answers with the same bytes on every processor: on this one, and on those that are emulated."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from benchmarks.contenders.photos import THUMBNAIL, draw_jpeg
from benchmarks.host.machine import Machine, this_machine
from benchmarks.measurements.instructions.compiled import run_job
from benchmarks.measurements.instructions.cpus import EmulatedCpu
from benchmarks.measurements.instructions.emulation import emulate, emulator, qemu_version
from benchmarks.measurements.instructions.job_file import Computed, JobFile
from runtime.bundle.manifest import Bundle
from runtime.cli.progress import progress
from runtime.errors import Refusal
from runtime.host.cpu import available_cpus
from runtime.image import ImageError, ImageSpec, decode
from runtime.inference.native_session import NativeSession, plan_of
from runtime.native.layout import Instructions
from runtime.native.library import VARIABLE, Library, library
from runtime.native.steps import Plan

AT_ONCE = 8  # photos of one job
HERE = "this host"
SUFFIXES = {".jpg", ".jpeg"}


class Route(NamedTuple):
    """One way from pixels [N, height, width, 3] to answers."""

    processor: str
    kernel: Instructions
    by: str
    compute: Callable[[NDArray[np.uint8]], list[Computed]]


class Answers(msgspec.Struct, frozen=True):
    """Of one route, how many photos have the reference's bytes: scores and probabilities, and all activations.

    `activations` is None for a route that shows none.
    """

    processor: str
    kernel: Instructions
    by: str
    photos: int
    equal: int
    activations: int | None

    @property
    def verdict(self) -> str:
        """`equal`, or of how many photos something differs."""
        same = self.equal if self.activations is None else min(self.equal, self.activations)
        return "equal" if same == self.photos else f"{self.photos - same} differ"


class AnswersResult(msgspec.Struct, frozen=True):
    """All routes of one bundle's INT8 network."""

    machine: Machine
    bundle: str
    size: int
    qemu: str
    photos: str
    rows: list[Answers]

    @property
    def different(self) -> list[str]:
        """The routes that answer otherwise than the reference."""
        return [f"{row.processor} ({row.kernel}, {row.by})" for row in self.rows if row.verdict != "equal"]


def compare_answers(
    bundle: Bundle, cpus: Sequence[EmulatedCpu], count: int, folders: Sequence[Path], cache: Path
) -> AnswersResult:
    """Compute `count` photos on every route and compare with the scalar reference on this host.

    Raises Refusal where there is no kernel for this host, no emulator or compiler, or a photo does not decode.
    """
    pixels, described = answered_photos(folders, count, bundle.manifest.input)
    reference, *routes = _routes(bundle, cpus, cache)
    batches = [pixels[start : start + AT_ONCE] for start in range(0, count, AT_ONCE)]
    found: dict[Route, list[Computed]] = {route: [] for route in (reference, *routes)}
    with ThreadPoolExecutor(available_cpus()) as pool, progress("photos by route", count * len(found)) as advance:
        jobs = [(route, pool.submit(route.compute, batch)) for batch in batches for route in found]
        for route, job in jobs:
            computed = job.result()
            found[route] += computed
            advance(len(computed), note=f"{route.processor}, {route.kernel}")
    return AnswersResult(
        machine=this_machine(),
        bundle=bundle.manifest.version,
        size=bundle.manifest.input.height,
        qemu=qemu_version() if cpus else "",
        photos=described,
        rows=[_compared(route, found[route], found[reference]) for route in routes],
    )


def answered_photos(folders: Sequence[Path], count: int, spec: ImageSpec) -> tuple[NDArray[np.uint8], str]:
    """`count` photos [N, height, width, 3] from all over the folders, drawn ones where they hold fewer; and what it is.

    Raises Refusal for a photo that does not decode.
    """
    files = [file for folder in folders for file in sorted(folder.rglob("*")) if file.suffix.lower() in SUFFIXES]
    real = min(count, len(files))
    chosen = [files[len(files) * (2 * number + 1) // (2 * real)] for number in range(real)]
    try:
        pixels = [decode(file.read_bytes(), spec) for file in chosen]
    except (OSError, ImageError) as error:
        raise Refusal(f"{folders[0]}: {error}; take that photo out, or name another folder") from error
    pixels += [decode(draw_jpeg(THUMBNAIL, seed), spec) for seed in range(count - real)]
    return np.stack(pixels), f"{real} of {len(files)} photos, {count - real} drawn"


def answers_table(result: AnswersResult) -> Table:
    """One line a route."""
    table = Table(
        title=f"Photos with the reference's bytes (bundle {result.bundle}, {result.size} px; {result.photos})"
    )
    for column in ("processor", "kernel", "computed by", "photos", "scores, probabilities", "activations", "verdict"):
        right = column in {"photos", "scores, probabilities", "activations"}
        table.add_column(column, justify="right" if right else "left")
    for row in result.rows:
        activations = "" if row.activations is None else str(row.activations)
        table.add_row(row.processor, row.kernel, row.by, str(row.photos), str(row.equal), activations, row.verdict)
    return table


def _compared(route: Route, found: Sequence[Computed], expected: Sequence[Computed]) -> Answers:
    pairs = list(zip(found, expected, strict=True))
    seen = all(each.activations is not None for each in found)
    return Answers(
        route.processor,
        route.kernel,
        route.by,
        photos=len(pairs),
        equal=sum(a[:2] == b[:2] for a, b in pairs),
        activations=sum(a.activations == b.activations for a, b in pairs) if seen else None,
    )


def _routes(bundle: Bundle, cpus: Sequence[EmulatedCpu], cache: Path) -> list[Route]:
    """The reference first; then what this host has, and what is emulated."""
    native = library()
    if native is None:
        raise Refusal(f"this host has no native kernel, or {VARIABLE} is off: there is nothing to compare")
    for cpu in cpus:
        emulator(cpu.architecture)
    model, spec = bundle.model.read_bytes(), bundle.manifest.input
    reference = native._replace(instructions="reference")
    wanted = {reference.layout, *native.available, *(cpu.instructions for cpu in cpus)}
    plans = {name: plan_of(model, spec, bundle.manifest.outputs, name) for name in wanted}
    routes = [Route(HERE, "reference", "library", _by_library(plans[reference.layout], reference))]
    for each in (native._replace(instructions=name) for name in native.available):
        plan = plans[each.layout]
        routes.append(Route(HERE, each.instructions, "library", _by_library(plan, each)))
        routes.append(Route(HERE, each.instructions, "NativeSession", _by_session(plan, each)))
    for cpu in cpus:
        program = run_job(cpu.architecture, cache)
        routes.append(Route(cpu.name, cpu.instructions, "QEMU", _by_emulator(plans[cpu.instructions], cpu, program)))
    return routes


def _by_library(plan: Plan, native: Library) -> Callable[[NDArray[np.uint8]], list[Computed]]:
    def compute(pixels: NDArray[np.uint8]) -> list[Computed]:
        job = JobFile(plan, pixels, native.instructions)
        return job.computed(job.run(native))

    return compute


def _by_session(plan: Plan, native: Library) -> Callable[[NDArray[np.uint8]], list[Computed]]:
    session = NativeSession(plan, native, threads=1)

    def compute(pixels: NDArray[np.uint8]) -> list[Computed]:
        answers = session.infer(pixels)
        pairs = zip(answers.activation_map, answers.probabilities, strict=True)
        return [Computed(scores.tobytes(), probabilities.tobytes()) for scores, probabilities in pairs]

    return compute


def _by_emulator(plan: Plan, cpu: EmulatedCpu, program: Path) -> Callable[[NDArray[np.uint8]], list[Computed]]:
    def compute(pixels: NDArray[np.uint8]) -> list[Computed]:
        job = JobFile(plan, pixels, cpu.instructions)
        with tempfile.TemporaryDirectory() as folder:
            return job.computed(emulate(cpu, [str(program), *job.write(Path(folder))]))

    return compute
