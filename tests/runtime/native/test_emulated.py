"""Each instruction set on processors that are emulated: all activations and scores are the bytes of the reference."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from benchmarks.measurements.instructions.compiled import run_job
from benchmarks.measurements.instructions.cpus import CPUS, EmulatedCpu
from benchmarks.measurements.instructions.emulation import emulate
from benchmarks.measurements.instructions.job_file import JobFile
from runtime.errors import Refusal
from runtime.image import ImageSpec
from runtime.inference.native_session import plan_of
from runtime.native.layout import Instructions
from tests.runtime.native.models import CLASSES, build, library_of, model_of, photos
from tests.support.emulated import CACHE
from tests.support.system_packages import needs

SIZE, WIDTHS = 32, (16, 16, 16, 16, 32, 32, 32, 32)
REFERENCE: Instructions = "reference"
AARCH64 = 183  # e_machine of ELF


def test_the_kernel_is_built_for_arm64(tmp_path: Path) -> None:
    made = build(tmp_path, name="libdandelion_kernel-aarch64.so").read_bytes()
    assert made[:4] == b"\x7fELF"
    assert struct.unpack_from("<H", made, 18) == (AARCH64,)
    assert b"dandelion_run\0" in made


@pytest.mark.emulated
@needs("qemu-user")
@pytest.mark.parametrize("cpu", [pytest.param(cpu, id=name) for name, cpu in CPUS.items()])
@pytest.mark.parametrize("shuffled", [False, True], ids=["trained", "saturating"])
def test_every_byte_is_that_of_the_reference(cpu: EmulatedCpu, shuffled: bool, tmp_path: Path) -> None:
    content = model_of(SIZE, widths=WIDTHS, shuffled=shuffled)
    plan = plan_of(content, ImageSpec(height=SIZE, width=SIZE), CLASSES, cpu.instructions)
    expected = JobFile(plan, photos(2, SIZE), "reference").run(library_of("reference"))
    assert len(set(expected)) == 256  # of the activations, all bytes occur
    program = str(run_job(cpu.architecture, CACHE))
    for instructions in (cpu.instructions, REFERENCE):
        command = [program, *JobFile(plan, photos(2, SIZE), instructions).write(tmp_path)]
        assert emulate(cpu, command) == expected, instructions


@pytest.mark.emulated
@needs("qemu-user")
def test_a_job_of_instructions_that_the_processor_lacks_is_refused(tmp_path: Path) -> None:
    cpu = CPUS["cortex-a72"]
    plan = plan_of(model_of(SIZE, widths=WIDTHS), ImageSpec(height=SIZE, width=SIZE), CLASSES, "vnni")
    command = [str(run_job(cpu.architecture, CACHE)), *JobFile(plan, photos(1, SIZE), "vnni").write(tmp_path)]
    with pytest.raises(Refusal, match=r"run_job.* on cortex-a72: status 3"):
        emulate(cpu, command)
