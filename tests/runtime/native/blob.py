"""A job in one piece of memory, for a program of its own (run_job.c): on an emulated processor, or with sanitizers."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.native.layout import ISA, Instructions
from runtime.native.library import Job, Library, Step
from runtime.native.steps import Plan
from runtime.native.weight_packing import CACHE_LINE, Tensor
from tests.runtime.native.models import ROOT

KERNEL = ROOT / "runtime" / "native" / "kernel"
SOURCES = [Path(__file__).with_name("run_job.c"), *sorted(KERNEL.glob("*.c"))]
FLAGS = ["-std=c17", "-ffp-contract=off", f"-I{KERNEL}"]
ZIG = [sys.executable, "-m", "ziglang", "cc"]
POINTERS = {
    Step: ("k_offsets", "full_list", "input_offsets", "output_offsets", "weights", "bias", "scale"),
    Job: ("steps", "pixels", "buffers", "sizes", "scores"),
}
TEMPERATURE = 1.3  # as in run_job.c


def compiled(program: Path, compiler: Sequence[str], *flags: str) -> Path:
    """run_job.c and the kernel in one program."""
    subprocess.run([*compiler, *FLAGS, *flags, "-o", program, *SOURCES, "-lm", "-lpthread"], check=True)
    return program


class Blob:
    """A plan with its input and buffers in one piece of memory, whose pointers are offsets from its beginning.

    Between two arrays or buffers is a gap that nobody may touch.
    """

    def __init__(self, plan: Plan, pixels: NDArray[np.uint8], instructions: Instructions) -> None:
        self.memory = bytearray(ctypes.sizeof(Job))
        self.relocations: list[int] = []
        self.gaps: list[tuple[int, int]] = []
        photos = len(pixels)
        arrays = {address: self._add(array.tobytes()) for address, array in plan.arrays.items()}
        steps = self._add(b"".join(self._step(step, arrays) for step in plan.steps))
        pixels_at = self._add(pixels.tobytes())
        sizes_at = self._add(np.array([buffer.bytes for buffer in plan.buffers], np.uint64).tobytes())
        buffers_at = self._add(bytes(8 * len(plan.buffers)))
        # Not all that the kernel writes to its scratch is the same for each instruction set: that is before `start`.
        order = sorted(range(len(plan.buffers)), key=lambda i: isinstance(plan.buffers[i], Tensor))
        places = {i: self._add(bytes([plan.buffers[i].fill]) * plan.buffers[i].bytes * photos) for i in order}
        self.start = min(at for i, at in places.items() if isinstance(plan.buffers[i], Tensor))
        self.classes, self.places = len(plan.bias), plan.map_size**2
        scores = self._add(bytes(4 * photos * self.classes * self.places))
        addresses = np.array([places[i] for i in range(len(plan.buffers))], np.uint64)
        self.memory[buffers_at : buffers_at + addresses.nbytes] = addresses.tobytes()
        job = Job(
            steps=steps,
            count=len(plan.steps),
            photos=photos,
            isa=ISA[instructions],
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
        self.relocations += [buffers_at + 8 * i for i in range(len(plan.buffers))]

    def run(self, library: Library) -> bytes:
        """What a library of this process makes of it: tensors, scores, probabilities."""
        room = ctypes.create_string_buffer(len(self.memory) + CACHE_LINE)
        base = -(-ctypes.addressof(room) // CACHE_LINE) * CACHE_LINE
        memory = (ctypes.c_char * len(self.memory)).from_address(base)
        memory[:] = bytes(self.memory)
        for at in self.relocations:
            ctypes.c_uint64.from_buffer(memory, at).value += base
        job = Job.from_buffer(memory)
        assert library.run(job, None) == 0
        probabilities = np.empty((job.photos, self.classes), np.float32)
        library.probabilities(
            job.scores, job.photos, self.classes, self.places, job.scores, TEMPERATURE, probabilities.ctypes.data
        )
        return memory.raw[self.start :] + probabilities.tobytes()

    def run_program(self, command: Sequence[str | Path], folder: Path) -> bytes:
        """What the program makes of it; raises CalledProcessError with what it says where it ends otherwise."""
        (folder / "blob").write_bytes(self.memory)
        (folder / "relocations").write_bytes(np.array(self.relocations, np.int64).tobytes())
        (folder / "gaps").write_bytes(np.array(self.gaps, np.int64).tobytes())
        numbers = map(str, (self.start, self.classes, self.places))
        files = [folder / "blob", folder / "relocations", folder / "gaps"]
        ran = subprocess.run([*command, *files, *numbers], capture_output=True, check=False)
        assert ran.returncode == 0, f"exit {ran.returncode}: {ran.stderr.decode()[:4000]}"
        return ran.stdout

    def _add(self, content: bytes) -> int:
        end = len(self.memory)
        self.memory += bytes(-end % CACHE_LINE + CACHE_LINE)
        at = len(self.memory)
        self.gaps.append((end, at))
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
