"""The scalar reference on ARM64: under QEMU it gives the bytes that the x86-64 build gives."""

from __future__ import annotations

import ctypes
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from runtime.image import ImageSpec
from runtime.inference.native_session import plan_of
from runtime.native.library import ISA, Job, Step
from runtime.native.steps import Plan
from tests.runtime.native.models import CLASSES, ROOT, build, library_of, model_of, photos

SIZE, WIDTHS = 32, (16, 16, 16, 16, 32, 32, 32, 32)
AARCH64 = 183  # e_machine of ELF
POINTERS = {
    Step: ("k_offsets", "full_list", "input_offsets", "output_offsets", "weights", "bias", "scale"),
    Job: ("steps", "pixels", "buffers", "sizes", "scores"),
}


def test_the_reference_is_built_for_arm64(tmp_path: Path) -> None:
    made = build(tmp_path, "KERNEL_TARGET=aarch64-linux-gnu.2.28", name="libdandelion_kernel-aarch64.so").read_bytes()
    assert made[:4] == b"\x7fELF"
    assert struct.unpack_from("<H", made, 18) == (AARCH64,)
    assert b"dandelion_run\0" in made


def test_arm64_answers_as_x86_64_does(tmp_path: Path) -> None:
    emulator = shutil.which("qemu-aarch64")
    if emulator is None:
        pytest.skip("install QEMU's user emulation (Debian's package qemu-user)")
    library = library_of("reference")
    plan = plan_of(model_of(SIZE, widths=WIDTHS), ImageSpec(height=SIZE, width=SIZE), CLASSES, "vnni")
    blob = Blob(plan, photos(1, SIZE))
    expected = blob.run(library.run)
    assert len(set(expected)) == 256  # of the activations, all bytes occur
    (tmp_path / "blob").write_bytes(blob.memory)
    (tmp_path / "relocations").write_bytes(np.array(blob.relocations, np.int64).tobytes())
    program = compiled(tmp_path)
    command = [emulator, program, tmp_path / "blob", tmp_path / "relocations", str(blob.start)]
    assert subprocess.run(command, capture_output=True, check=True).stdout == expected


def compiled(folder: Path) -> Path:
    """run_job.c and the kernel in one static program for ARM64."""
    sources = [Path(__file__).with_name("run_job.c"), *sorted((ROOT / "runtime" / "native" / "kernel").glob("*.c"))]
    include = f"-I{ROOT / 'runtime' / 'native' / 'kernel'}"
    command = [sys.executable, "-m", "ziglang", "cc", "-target", "aarch64-linux-musl", "-static", "-std=c17", "-O2"]
    subprocess.run([*command, include, "-o", folder / "run_job", *sources, "-lm", "-lpthread"], check=True)
    return folder / "run_job"


class Blob:
    """A plan with its input and buffers in one piece of memory, whose pointers are offsets from its beginning."""

    def __init__(self, plan: Plan, pixels: np.ndarray) -> None:
        self.memory = bytearray(ctypes.sizeof(Job))
        self.relocations: list[int] = []
        arrays = {address: self._add(array.tobytes()) for address, array in plan.arrays.items()}
        steps = self._add(b"".join(self._step(step, arrays) for step in plan.steps))
        pixels_at = self._add(pixels.tobytes())
        sizes = np.array([buffer.bytes for buffer in plan.buffers], np.uint64)
        sizes_at = self._add(sizes.tobytes())
        buffers_at = self._add(bytes(8 * len(plan.buffers)))
        self.start = len(self.memory)  # of what the kernel writes
        buffers = [self._add(bytes([buffer.fill]) * buffer.bytes) for buffer in plan.buffers]
        scores = self._add(bytes(4 * CLASSES * plan.map_size**2))
        self.memory[buffers_at : buffers_at + 8 * len(buffers)] = np.array(buffers, np.uint64).tobytes()
        job = Job(
            steps=steps,
            count=len(plan.steps),
            photos=len(pixels),
            isa=ISA["reference"],
            pixels=pixels_at,
            photo_bytes=pixels[0].nbytes,
            buffers=buffers_at,
            sizes=sizes_at,
            scores=scores,
        )
        self.memory[: ctypes.sizeof(Job)] = bytes(job)
        self._relocate(0, Job)
        for i in range(len(plan.steps)):
            self._relocate(steps + i * ctypes.sizeof(Step), Step)
        self.relocations += [buffers_at + 8 * i for i in range(len(buffers))]

    def run(self, run: object) -> bytes:
        """What a library of this process makes of it."""
        memory = ctypes.create_string_buffer(bytes(self.memory), len(self.memory))
        base = ctypes.addressof(memory)
        for at in self.relocations:
            ctypes.c_uint64.from_buffer(memory, at).value += base
        assert run(Job.from_buffer(memory), None) == 0
        return memory.raw[self.start :]

    def _add(self, content: bytes) -> int:
        self.memory += bytes(-len(self.memory) % 64)
        at = len(self.memory)
        self.memory += content
        return at

    def _step(self, step: Step, arrays: dict[int, int]) -> bytes:
        moved = Step.from_buffer_copy(step)
        for name in POINTERS[Step]:
            setattr(moved, name, arrays.get(getattr(step, name)) or 0)
        return bytes(moved)

    def _relocate(self, at: int, structure: type[ctypes.Structure]) -> None:
        for name in POINTERS[structure]:
            field = getattr(structure, name)
            if int.from_bytes(self.memory[at + field.offset :][:8], "little"):
                self.relocations.append(at + field.offset)
