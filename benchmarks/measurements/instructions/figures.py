"""Count all contenders on all emulated processors, and compare."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median

import msgspec
from rich.table import Table

from benchmarks.contenders.dequantized import dequantized
from benchmarks.contenders.scaled_bundle import resized
from benchmarks.host.interference import Contention, watch_contention
from benchmarks.host.machine import Machine, this_machine
from benchmarks.measurements.instructions.counting import count_onnxruntime, count_ours
from benchmarks.measurements.instructions.cpus import CPUS, EmulatedCpu
from benchmarks.measurements.instructions.emulation import qemu_version
from benchmarks.measurements.instructions.photos import counted_photos
from benchmarks.statistics.goals import Goal, counted
from runtime.bundle.manifest import Bundle
from runtime.cli.progress import progress

OURS, FAST, EXACT, FP32 = "our kernel", "onnxruntime INT8", "onnxruntime INT8, exact", "onnxruntime FP32"
LARGER = 0.05  # how much more of onnxruntime's instructions the largest size may take than the smallest


class Counted(msgspec.Struct, frozen=True):
    """One contender on one processor: `instructions` of each photo; `kernel` is what ours computes with there."""

    cpu: str
    size: int
    name: str
    kernel: str
    instructions: list[int]

    @property
    def millions(self) -> float:
        """Of the photo in the middle."""
        return median(self.instructions) / 1e6


class InstructionsResult(msgspec.Struct, frozen=True):
    """All counts for one bundle's network."""

    machine: Machine
    neighbours: Contention
    bundle: str
    onnxruntime: str
    qemu: str
    photos: list[str]
    rows: list[Counted]
    goals: list[Goal]

    @property
    def missed(self) -> list[str]:
        """The goals that are missed."""
        return [goal.what for goal in self.goals if goal.estimate.value > goal.limit]


def measure_instructions(
    bundle: Bundle, cpus: Sequence[EmulatedCpu], sizes: Sequence[int], photos: Path | None, cache: Path, *, fp32: bool
) -> InstructionsResult:
    """Count on each of `cpus` at each of `sizes`, px; raises Refusal where something that it takes is missing."""
    rows: list[Counted] = []
    names: list[str] = []
    with watch_contention(1) as watch, progress("count", len(cpus) * len(sizes)) as advance:
        for size in sizes:
            spec = msgspec.structs.replace(bundle.manifest.input, height=size, width=size)
            pixels, names = counted_photos(photos, spec)
            model = resized(bundle.model, size)
            int8, classes = model.SerializeToString(), bundle.manifest.outputs
            for cpu in cpus:
                advance(0, note=f"{cpu.name}, {size} px")
                counts = {OURS: count_ours(cpu, int8, pixels, classes, cache)}
                counts[FAST] = count_onnxruntime(cpu, int8, pixels, classes, cache)
                if cpu.exact:
                    counts[EXACT] = count_onnxruntime(cpu, int8, pixels, classes, cache, exact=True)
                if fp32:  # the same for every photo, and emulated slowly
                    file = dequantized(model).SerializeToString()
                    counts[FP32] = count_onnxruntime(cpu, file, pixels[:1], classes, cache)
                rows += [Counted(cpu.name, size, name, cpu.instructions, each) for name, each in counts.items()]
                advance()
    return InstructionsResult(
        machine=this_machine(),
        neighbours=watch.seen,
        bundle=bundle.manifest.version,
        onnxruntime=version("onnxruntime"),
        qemu=qemu_version(),
        photos=names,
        rows=rows,
        goals=instruction_goals(rows),
    )


def instruction_goals(rows: Sequence[Counted]) -> list[Goal]:
    """Our instructions over those of onnxruntime's INT8 as it serves; of the largest size, how much more."""
    goals = []
    for name in dict.fromkeys(row.cpu for row in rows):
        cpu = CPUS[name]
        ratios = {row.size: ratio(rows, row) for row in rows if (row.cpu, row.name) == (name, OURS)}
        small, large = min(ratios), max(ratios)
        what = f"{name} ({cpu.instructions}), {small} px: of onnxruntime's INT8"
        goals.append(counted(what, ratios[small], "at most", cpu.at_most))
        if small != large:
            more = ratios[large] - ratios[small]
            goals.append(counted(f"{name}: more of it at {large} px than at {small} px", more, "at most", LARGER))
    return goals


def ratio(rows: Sequence[Counted], ours: Counted) -> float:
    """Our instructions over onnxruntime's, photo by photo, in the middle; its exact INT8 kernel where that serves."""
    found = {row.name: row for row in rows if (row.cpu, row.size) == (ours.cpu, ours.size)}
    theirs = found.get(EXACT, found[FAST])
    return median(a / b for a, b in zip(ours.instructions, theirs.instructions, strict=True))


def instructions_table(result: InstructionsResult) -> Table:
    """One line a processor and size, in millions of instructions."""
    table = Table(
        title=f"Millions of instructions of one inference, one thread (bundle {result.bundle}, onnxruntime "
        f"{result.onnxruntime}); not measured on a board"
    )
    for column in ("processor", "px", "our kernel", "with", FAST, "exact", FP32, "ours of its INT8"):
        table.add_column(column, justify="left" if column in {"processor", "with"} else "right")
    for ours in (row for row in result.rows if row.name == OURS):
        found = {row.name: row for row in result.rows if (row.cpu, row.size) == (ours.cpu, ours.size)}
        millions = {name: f"{row.millions:.1f}" for name, row in found.items()}
        table.add_row(
            ours.cpu,
            str(ours.size),
            millions[OURS],
            ours.kernel,
            millions[FAST],
            millions.get(EXACT, ""),
            millions.get(FP32, ""),
            f"{ratio(result.rows, ours):.3f}",
        )
    return table
