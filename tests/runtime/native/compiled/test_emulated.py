"""Each instruction set on processors that are emulated: all activations and scores are the bytes of the reference."""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path

import pytest

from benchmarks.measurements.instructions.compiled import run_job
from benchmarks.measurements.instructions.cpus import CPUS, EmulatedCpu
from benchmarks.measurements.instructions.emulation import emulate
from benchmarks.measurements.instructions.job_file import JobFile
from runtime.errors import Refusal
from runtime.image import ImageSpec
from runtime.inference.native_session import plan_of
from runtime.native.layout import LAYOUTS, Instructions
from runtime.native.memory_planner import lay_out
from runtime.native.steps import WINOGRAD, Plan
from tests.runtime.native.models import CLASSES, build, library_of, model_of, photos
from tests.runtime.native.networks import random_network
from tests.runtime.native.test_winograd import extreme
from tests.support.host.emulated import CACHE
from tests.support.suite.system_packages import needs

SIZE, WIDTHS = 32, (16, 16, 16, 16, 32, 32, 32, 32)
PHOTOS = 2
MANY = 200
REFERENCE: Instructions = "reference"
AARCH64 = 183  # e_machine of ELF
WITH_WINOGRAD = {name: cpu for name, cpu in CPUS.items() if LAYOUTS[cpu.instructions].winograd}


def test_the_kernel_is_built_for_arm64(tmp_path: Path) -> None:
    made = build(tmp_path, name="libdandelion_kernel-aarch64.so").read_bytes()
    assert made[:4] == b"\x7fELF"
    assert struct.unpack_from("<H", made, 18) == (AARCH64,)
    assert b"dandelion_run\0" in made


@cache
def planned(network: str | int, layout: Instructions) -> Plan:
    """The default network at a small size, with its own weights or with shuffled ones; or a random network."""
    if isinstance(network, int):
        return lay_out(random_network(network), layout)
    content = model_of(SIZE, widths=WIDTHS, shuffled=network == "saturating")
    return plan_of(content, ImageSpec(height=SIZE, width=SIZE), CLASSES, layout)


@pytest.mark.emulated
@needs("qemu-user")
@pytest.mark.parametrize("cpu", [pytest.param(cpu, id=name) for name, cpu in CPUS.items()])
@pytest.mark.parametrize("network", ["trained", "saturating", 0, 2, 10, 11])
def test_every_byte_is_that_of_the_reference(cpu: EmulatedCpu, network: str | int, tmp_path: Path) -> None:
    plan = planned(network, cpu.instructions)
    pixels = photos(PHOTOS, plan.image_size)
    expected = JobFile(plan, pixels, REFERENCE).run(library_of(REFERENCE))
    assert len(set(expected)) > MANY  # of the activations, nearly all bytes occur
    program = str(run_job(cpu.architecture, CACHE))
    for instructions in (cpu.instructions, REFERENCE):
        command = [program, *JobFile(plan, pixels, instructions).write(tmp_path)]
        assert emulate(cpu, command) == expected, instructions


@pytest.mark.emulated
@needs("qemu-user")
@pytest.mark.parametrize(
    ("instructions", "name"),
    [
        ("avx2", "Nehalem"),
        ("neon", "Nehalem"),
        ("vnni", "Haswell"),
        ("vnni", "cortex-a72"),
        ("dotprod", "cortex-a72"),
        ("i8mm", "cortex-a76"),
    ],
)
def test_a_processor_that_lacks_instructions_is_known_to_lack_them(
    instructions: Instructions, name: str, tmp_path: Path
) -> None:
    job = JobFile(planned("trained", instructions), photos(1, SIZE), instructions)
    command = [str(run_job(CPUS[name].architecture, CACHE)), *job.write(tmp_path)]
    with pytest.raises(Refusal, match=rf"run_job.* on {name}: status 5"):  # of `dandelion_has_isa` in run_job.c
        emulate(CPUS[name], command)


@pytest.mark.emulated
@needs("qemu-user")
@pytest.mark.parametrize(("size", "sides"), [(5, {2, 3}), (24, {3, 4})])
@pytest.mark.parametrize("cpu", [pytest.param(cpu, id=name) for name, cpu in WITH_WINOGRAD.items()])
def test_the_largest_sums_of_winograds_convolution_are_those_of_the_reference(
    cpu: EmulatedCpu, size: int, sides: set[int], tmp_path: Path
) -> None:
    plan = lay_out(extreme(size, 114, -127), cpu.instructions)
    assert {step.side for step in plan.steps if step.kind == WINOGRAD} == sides
    pixels = photos(2, 2 * size)
    pixels[1] = 255
    expected = JobFile(plan, pixels, "reference").run(library_of("reference"))
    command = [str(run_job(cpu.architecture, CACHE)), *JobFile(plan, pixels, cpu.instructions).write(tmp_path)]
    assert emulate(cpu, command) == expected
