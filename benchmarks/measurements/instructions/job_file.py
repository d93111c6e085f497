"""An inference by the kernel in one piece of memory, as run_job.c reads it: a plan with its input and buffers."""

from __future__ import annotations

import ctypes
import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.native.layout import ISA, Instructions
from runtime.native.library import Job, Library, Step
from runtime.native.steps import Plan, Scratch
from runtime.native.weight_packing import CACHE_LINE, Tensor


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


class Computed(NamedTuple):
    """What the kernel made of one photo, as bytes.

    `activations` is the SHA-256 of what is left of the layers' outputs, NHWC without borders: alike in each layout.
    """

    scores: bytes
    probabilities: bytes
    activations: bytes | None = None


class JobFile:
    """`memory` begins with an Inference; its pointers are offsets into it, and `relocations` says where they lie.

    From `start` on is what the kernel computes: the activations of all layers, scores and probabilities. What it needs
    within a layer (`Scratch`) lies before, and may hold what nothing reads. Between two arrays or buffers is a gap that
    nobody may touch; `gaps` are the first byte of each, and the first behind it.
    """

    def __init__(self, plan: Plan, pixels: NDArray[np.uint8], instructions: Instructions) -> None:
        """`pixels` are [N, height, width, 3]; `plan` is laid out for `instructions`, or they are `reference`."""
        self.memory = bytearray(ctypes.sizeof(Inference))
        self.relocations: list[int] = []
        self.gaps: list[tuple[int, int]] = []
        self._photos = len(pixels)
        arrays = {address: self._add(array.tobytes()) for address, array in plan.arrays.items()}
        steps = self._add(b"".join(self._step(step, arrays) for step in plan.steps))
        pixels_at = self._add(pixels.tobytes())
        sizes = np.array([buffer.bytes for buffer in plan.buffers], np.uint64)
        sizes_at = self._add(sizes.tobytes())
        bias = self._add(plan.bias.tobytes())
        buffers_at = self._add(bytes(8 * len(plan.buffers)))
        # Scratch first: it lies before `start`.
        order = sorted(range(len(plan.buffers)), key=lambda i: isinstance(plan.buffers[i], Tensor))
        places = {i: self._add(bytes([plan.buffers[i].fill]) * plan.buffers[i].bytes * len(pixels)) for i in order}
        self._tensors = [(places[i], each) for i, each in enumerate(plan.buffers) if not isinstance(each, Scratch)]
        self.start = min(at for at, _ in self._tensors)
        scores = bytes(4 * len(plan.bias) * plan.map_size**2 * len(pixels))
        self._scores = self._add(scores), len(scores)
        probabilities = bytes(4 * len(plan.bias) * len(pixels))
        self._probabilities = self._add(probabilities), len(probabilities)
        self._add(b"")  # a gap behind them, too
        addresses = np.array([places[i] for i in range(len(plan.buffers))], np.uint64)
        self.memory[buffers_at : buffers_at + addresses.nbytes] = addresses.tobytes()
        job = Job(
            steps=steps,
            count=len(plan.steps),
            photos=len(pixels),
            isa=ISA[instructions],
            pixels=pixels_at,
            photo_bytes=pixels[0].nbytes,
            buffers=buffers_at,
            sizes=sizes_at,
            scores=self._scores[0],
        )
        made = Inference(job, len(plan.bias), plan.map_size**2, plan.temperature, bias, self._probabilities[0])
        self.memory[: ctypes.sizeof(Inference)] = bytes(made)
        self._relocate(0, Job)
        self._relocate(0, Inference)
        for i in range(len(plan.steps)):
            self._relocate(steps + i * ctypes.sizeof(Step), Step)
        self.relocations += [buffers_at + 8 * i for i in range(len(plan.buffers))]

    def write(self, folder: Path) -> list[str]:
        """Write it to `folder`; the arguments of run_job."""
        (folder / "blob").write_bytes(self.memory)
        (folder / "relocations").write_bytes(np.array(self.relocations, np.int64).tobytes())
        (folder / "gaps").write_bytes(np.array(self.gaps, np.int64).tobytes())
        return [*(str(folder / name) for name in ("blob", "relocations", "gaps")), str(self.start)]

    def run(self, library: Library) -> bytes:
        """What a library of this process makes of it: `memory` from `start` on."""
        room = ctypes.create_string_buffer(len(self.memory) + CACHE_LINE)
        base = -(-ctypes.addressof(room) // CACHE_LINE) * CACHE_LINE
        memory = (ctypes.c_char * len(self.memory)).from_address(base)
        ctypes.memmove(base, bytes(self.memory), len(self.memory))
        for at in self.relocations:
            ctypes.c_uint64.from_buffer(memory, at).value += base
        inference = Inference.from_buffer(memory)
        job: Job = inference.job
        if library.run(job, None):
            raise RuntimeError("the kernel does not run this job")
        shape = (job.photos, inference.classes, inference.places)
        library.probabilities(job.scores, *shape, inference.bias, inference.temperature, inference.probabilities)
        return memory.raw[self.start :]

    def computed(self, ran: bytes) -> list[Computed]:
        """What run_job or `run` made of each photo."""
        count = self._photos
        pictures = [self._pictures(ran, at, tensor) for at, tensor in self._tensors]
        activations = [b"".join(each[photo].tobytes() for each in pictures) for photo in range(count)]
        digests = [hashlib.sha256(each).digest() for each in activations]
        scores, probabilities = (self._parts(ran, *each) for each in (self._scores, self._probabilities))
        return [Computed(*each) for each in zip(scores, probabilities, digests, strict=True)]

    def _parts(self, ran: bytes, at: int, size: int) -> list[bytes]:
        """`size` bytes at an offset of `memory`, by photo."""
        each, first = size // self._photos, at - self.start
        return [ran[first + each * photo :][:each] for photo in range(self._photos)]

    def _pictures(self, ran: bytes, at: int, tensor: Tensor) -> NDArray[np.uint8]:
        """The activations of a tensor, [photos, size, size, channels]."""
        lines, line = tensor.size + tensor.border, tensor.pitch * tensor.channels
        parts = [np.frombuffer(part, np.uint8) for part in self._parts(ran, at, tensor.bytes * self._photos)]
        whole = np.stack([part[: lines * line] for part in parts])
        shaped = whole.reshape(self._photos, lines, tensor.pitch, tensor.channels)
        return shaped[:, tensor.border :, tensor.border :]

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

    def _relocate(self, at: int, structure: type[Step | Job | Inference]) -> None:
        for name in POINTERS[structure]:
            field = getattr(structure, name)
            if int.from_bytes(self.memory[at + field.offset :][:8], "little"):
                self.relocations.append(at + field.offset)
