"""Our kernel takes fewer instructions than onnxruntime's INT8, on every processor that is emulated."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.commands.inference.instructions import PROCESSORS
from benchmarks.contenders.scaled_bundle import resized
from benchmarks.host.interference import Contention
from benchmarks.host.machine import this_machine
from benchmarks.measurements.instructions.counting import count_onnxruntime, count_ours
from benchmarks.measurements.instructions.cpus import CPUS
from benchmarks.measurements.instructions.figures import (
    EXACT,
    FAST,
    FP32,
    LARGER,
    OURS,
    Counted,
    InstructionsResult,
    instruction_goals,
    instructions_table,
    ratio,
)
from benchmarks.measurements.instructions.photos import counted_photos
from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import Bundle
from tests.support.host.emulated import CACHE
from tests.support.suite.system_packages import needs

LARGE = ("Haswell", "cortex-a76")  # of the sizes' difference, two are enough

emulated = [pytest.mark.emulated, needs("qemu-user")]


@cache
def counted(name: str, size: int) -> list[Counted]:
    """Our kernel and the INT8 kernel of onnxruntime that serves on this processor, with drawn photos."""
    bundle, cpu = Bundle.open(default_bundle()), CPUS[name]
    pixels, _ = counted_photos(None, msgspec.structs.replace(bundle.manifest.input, height=size, width=size))
    model, classes = resized(bundle.model, size).SerializeToString(), bundle.manifest.outputs
    ours = count_ours(cpu, model, pixels, classes, CACHE)
    theirs = count_onnxruntime(cpu, model, pixels, classes, CACHE, exact=cpu.exact)
    return [Counted(name, size, OURS, cpu.instructions, ours), Counted(name, size, FAST, "", theirs)]


def ratio_of(name: str, size: int) -> float:
    rows = counted(name, size)
    return ratio(rows, rows[0])


@pytest.mark.parametrize("name", [pytest.param(name, marks=emulated) for name in CPUS])
def test_our_kernel_takes_as_few_instructions_as_it_is_to(name: str):
    assert ratio_of(name, 96) <= CPUS[name].at_most


@pytest.mark.parametrize("name", [pytest.param(name, marks=emulated) for name in LARGE])
def test_on_larger_photos_it_takes_no_more_of_onnxruntimes(name: str):
    assert ratio_of(name, 224) <= ratio_of(name, 96) + LARGER


@pytest.mark.emulated
@needs("qemu-user")
def test_the_command_counts_compares_and_remembers(tmp_path: Path):
    arguments = ["instructions", "--cpu", "Haswell", "--size", "32", "--cache", str(tmp_path), "--out", str(tmp_path)]
    ran = [CliRunner().invoke(main, arguments, env={"DANDELION_PHOTOS": None}) for _ in range(2)]
    results = []
    for each in ran:
        assert "drawn blotches, drawn discs, drawn blades; qemu-x86_64 version" in each.output
        results.append(msgspec.json.decode((tmp_path / "instructions.json").read_bytes(), type=InstructionsResult))
        assert each.exit_code == bool(results[-1].missed), each.output
    assert [row.name for row in results[0].rows] == [OURS, FAST, EXACT, FP32]
    assert [len(row.instructions) for row in results[0].rows] == [3, 3, 3, 1]
    assert results[0].rows == results[1].rows
    assert len(list((tmp_path / "counts").iterdir())) == 3  # of onnxruntime, once each


ROWS = [
    Counted("Haswell", 96, OURS, "avx2", [30, 20, 40]),
    Counted("Haswell", 96, FAST, "avx2", [40, 40, 40]),
    Counted("Haswell", 96, EXACT, "avx2", [60, 50, 50]),
    Counted("Haswell", 224, OURS, "avx2", [70, 70, 70]),
    Counted("Haswell", 224, FAST, "avx2", [80, 80, 80]),
    Counted("Haswell", 224, EXACT, "avx2", [100, 100, 100]),
]


def counts_of_rows() -> InstructionsResult:
    """A result of ROWS, for the table and the report."""
    return InstructionsResult(
        machine=this_machine(),
        neighbours=Contention(busy_cores=None, host_cores=1, wanted_cores=1),
        bundle="v1",
        onnxruntime="1.32.0",
        qemu="qemu-x86_64 version 7.2.22",
        photos=["drawn discs"],
        rows=ROWS,
        goals=instruction_goals(ROWS),
    )


def test_the_goals_compare_with_the_kernel_that_serves_photo_by_photo():
    result = counts_of_rows()
    assert [(goal.estimate.value, goal.limit) for goal in result.goals] == [
        (0.5, CPUS["Haswell"].at_most),
        (pytest.approx(0.2), LARGER),
    ]
    assert result.missed == [goal.what for goal in result.goals[1:]]
    assert list(instructions_table(result).columns[-1].cells) == ["0.500", "0.700"]


def test_the_command_knows_every_processor():
    assert tuple(CPUS) == PROCESSORS
