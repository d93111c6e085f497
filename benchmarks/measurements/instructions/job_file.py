"""An inference by the kernel in one piece of memory, as run_job.c reads it: a plan with its input and buffers."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.native.layout import ISA, Instructions
from runtime.native.library import Job, Library, Step
from runtime.native.steps import Plan, Scratch


class Inference(ctypes.Structure):
    """A job, and what makes probabilities of its scores: `Inference` in run_job.c."""

    _fields_ = [
        ("job", Job),
        ("classes", ctypes.c_int32),
        ("places", ctypes.c_int32),
        ("temperature", ctypes.c_float),
        ("bias", ctypes.c_void_p),
        ("probabilities", ctypes.c_void_p),
    ]


POINTERS: dict[type[Step | Job | Inference], tuple[str, ...]] = {
    Step: ("k_offsets", "full_list", "input_offsets", "output_offsets", "weights", "bias", "scale"),
    Job: ("steps", "pixels", "buffers", "sizes", "scores"),
    Inference: ("bias", "probabilities"),
}


class JobFile:
    """`memory` begins with an Inference; its pointers are offsets into it, and `relocations` says where they lie.

    From `start` on is what the kernel computes: the activations of all layers, scores and probabilities. What it needs
    within a layer (`Scratch`) lies before, and may hold what nothing reads.
    """

    def __init__(self, plan: Plan, pixels: NDArray[np.uint8], instructions: Instructions) -> None:
        """`pixels` are [N, height, width, 3]; `plan` is laid out for `instructions`."""
        self.memory = bytearray(ctypes.sizeof(Inference))
        self.relocations: list[int] = []
        arrays = {address: self._add(array.tobytes()) for address, array in plan.arrays.items()}
        steps = self._add(b"".join(self._step(step, arrays) for step in plan.steps))
        pixels_at = self._add(pixels.tobytes())
        sizes = np.array([buffer.bytes for buffer in plan.buffers], np.uint64)
        sizes_at = self._add(sizes.tobytes())
        bias = self._add(plan.bias.tobytes())
        buffers_at = self._add(bytes(8 * len(plan.buffers)))
        scratch = sum(isinstance(buffer, Scratch) for buffer in plan.buffers)
        buffers = [self._add(bytes([buffer.fill]) * buffer.bytes * len(pixels)) for buffer in plan.buffers]
        self.start = buffers[scratch]
        scores = self._add(bytes(4 * len(plan.bias) * plan.map_size**2 * len(pixels)))
        probabilities = self._add(bytes(4 * len(plan.bias) * len(pixels)))
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
        inference = Inference(job, len(plan.bias), plan.map_size**2, plan.temperature, bias, probabilities)
        self.memory[: ctypes.sizeof(Inference)] = bytes(inference)
        self._relocate(0, Job)
        self._relocate(0, Inference)
        for i in range(len(plan.steps)):
            self._relocate(steps + i * ctypes.sizeof(Step), Step)
        self.relocations += [buffers_at + 8 * i for i in range(len(buffers))]

    def write(self, folder: Path) -> list[str]:
        """Write it to `folder`; the arguments of run_job."""
        (folder / "blob").write_bytes(self.memory)
        (folder / "relocations").write_bytes(np.array(self.relocations, np.int64).tobytes())
        return [str(folder / "blob"), str(folder / "relocations"), str(self.start)]

    def run(self, library: Library) -> bytes:
        """What a library of this process makes of it: `memory` from `start` on."""
        memory = ctypes.create_string_buffer(bytes(self.memory), len(self.memory))
        base = ctypes.addressof(memory)
        for at in self.relocations:
            ctypes.c_uint64.from_buffer(memory, at).value += base
        inference = Inference.from_buffer(memory)
        job: Job = inference.job
        if library.run(job, None):
            raise RuntimeError("the kernel does not run this job")
        shape = (job.photos, inference.classes, inference.places)
        library.probabilities(job.scores, *shape, inference.bias, inference.temperature, inference.probabilities)
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

    def _relocate(self, at: int, structure: type[Step | Job | Inference]) -> None:
        for name in POINTERS[structure]:
            field = getattr(structure, name)
            if int.from_bytes(self.memory[at + field.offset :][:8], "little"):
                self.relocations.append(at + field.offset)
