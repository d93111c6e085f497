"""A job of the kernel in one piece of memory, as run_job.c reads it: a plan with its input and buffers."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.native.library import ISA, Instructions, Job, Step
from runtime.native.steps import Plan

POINTERS: dict[type[Step | Job], tuple[str, ...]] = {
    Step: ("k_offsets", "full_list", "input_offsets", "output_offsets", "weights", "bias", "scale"),
    Job: ("steps", "pixels", "buffers", "sizes", "scores"),
}


class JobFile:
    """`memory` begins with a Job; pointers are offsets from its beginning, and `relocations` says where they lie.

    `start` is where that begins which the kernel writes: the activations of all layers, and the scores.
    """

    def __init__(self, plan: Plan, pixels: NDArray[np.uint8], instructions: Instructions) -> None:
        """`pixels` are [N, height, width, 3]; `plan` is laid out for `instructions`."""
        self.memory = bytearray(ctypes.sizeof(Job))
        self.relocations: list[int] = []
        arrays = {address: self._add(array.tobytes()) for address, array in plan.arrays.items()}
        steps = self._add(b"".join(self._step(step, arrays) for step in plan.steps))
        pixels_at = self._add(pixels.tobytes())
        sizes = np.array([buffer.bytes for buffer in plan.buffers], np.uint64)
        sizes_at = self._add(sizes.tobytes())
        buffers_at = self._add(bytes(8 * len(plan.buffers)))
        self.start = len(self.memory)
        buffers = [self._add(bytes([buffer.fill]) * buffer.bytes * len(pixels)) for buffer in plan.buffers]
        scores = self._add(bytes(4 * len(plan.bias) * plan.map_size**2 * len(pixels)))
        self.memory[buffers_at : buffers_at + 8 * len(buffers)] = np.array(buffers, np.uint64).tobytes()
        job = Job(
            steps=steps,
            count=len(plan.steps),
            photos=len(pixels),
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
        self.relocations += [buffers_at + 8 * i for i in range(len(buffers))]

    def write(self, folder: Path) -> list[str]:
        """Write it to `folder`; the arguments of run_job."""
        (folder / "blob").write_bytes(self.memory)
        (folder / "relocations").write_bytes(np.array(self.relocations, np.int64).tobytes())
        return [str(folder / "blob"), str(folder / "relocations"), str(self.start)]

    def run(self, run: Callable[..., int]) -> bytes:
        """What a library of this process makes of it: `memory` from `start` on."""
        memory = ctypes.create_string_buffer(bytes(self.memory), len(self.memory))
        base = ctypes.addressof(memory)
        for at in self.relocations:
            ctypes.c_uint64.from_buffer(memory, at).value += base
        if run(Job.from_buffer(memory), None):
            raise RuntimeError("the kernel does not run this job")
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

    def _relocate(self, at: int, structure: type[Step | Job]) -> None:
        for name in POINTERS[structure]:
            field = getattr(structure, name)
            if int.from_bytes(self.memory[at + field.offset :][:8], "little"):
                self.relocations.append(at + field.offset)
