"""Inference session of the native kernel: the same calls as `OnnxruntimeSession`."""

from __future__ import annotations

import ctypes
import weakref
from collections import deque
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.bundle.input import ImageSpec
from runtime.bundle.manifest import BundleError
from runtime.inference.interface import Inference
from runtime.native.layout import ISA, Instructions
from runtime.native.library import Job, Library, address_of
from runtime.native.memory_planner import aligned, lay_out
from runtime.native.onnx_importer import UnknownGraphError, read_network
from runtime.native.onnx_protobuf import read_graph
from runtime.native.softmax import softmax_of
from runtime.native.steps import Plan, max_batch_size_of


class NativeSession:
    """A model in the native kernel. Safe to call from several threads; one call at a time has the thread pool."""

    def __init__(
        self, plan: Plan, library: Library, *, threads: int, workspaces: deque[_Workspace] | None = None
    ) -> None:
        """`threads` for one inference; the pool's workers sleep between two. `workspaces` are another session's."""
        self._plan = plan
        self._library = library
        self._capacity = max_batch_size_of(plan.image_size)
        self._idle: deque[_Workspace] = deque() if workspaces is None else workspaces
        self._pool = library.pool_create(threads - 1) if threads > 1 else None  # None if the system gives no threads
        if self._pool is not None:
            # Not at the end of the process, when another thread may be at work with them.
            weakref.finalize(self, library.pool_destroy, self._pool).atexit = False

    def with_threads(self, threads: int) -> NativeSession:
        """The same weights and workspaces, on more threads."""
        return NativeSession(self._plan, self._library, threads=threads, workspaces=self._idle)

    def infer(self, pixels: NDArray[np.uint8]) -> Inference:
        """Classify `pixels` [N, height, width, 3], RGB, 0..255."""
        plan = self._plan
        pixels = np.ascontiguousarray(pixels)
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (plan.image_size, plan.image_size, 3):
            raise ValueError(f"pixels are {pixels.dtype} {pixels.shape}, not uint8 [N, {plan.image_size}, …, 3]")
        scores = np.empty((len(pixels), len(plan.bias), plan.map_size, plan.map_size), np.float32)
        try:
            workspace = self._idle.pop()
        except IndexError:
            workspace = _Workspace(plan, self._library, self._capacity)
        for start in range(0, len(pixels), self._capacity):
            part = slice(start, start + self._capacity)
            workspace.run(self._library, pixels[part], scores[part], self._pool)
        self._idle.append(workspace)
        return Inference(softmax_of(self._library, scores, plan.bias, plan.temperature), scores)


def open_native(model: Path | bytes, spec: ImageSpec, classes: int, library: Library, *, threads: int) -> NativeSession:
    """The INT8 file `model`, or its content, in the native kernel.

    Raises UnknownGraphError for a graph that only onnxruntime computes, BundleError for a file that cannot be read.
    """
    content = model if isinstance(model, bytes) else _content(model)
    plan = plan_of(content, spec, classes, library.layout)
    return NativeSession(plan, library, threads=threads)


def plan_of(content: bytes, spec: ImageSpec, classes: int, instructions: Instructions) -> Plan:
    """The plan of an ONNX file's network; raises UnknownGraphError, whatever is wrong with it or only new to us."""
    try:
        return lay_out(read_network(read_graph(content), spec, classes), instructions)
    except UnknownGraphError:
        raise
    except (ArithmeticError, LookupError, StopIteration, TypeError, ValueError) as error:
        raise UnknownGraphError(f"its graph cannot be read ({error!r})") from error


def _content(model: Path) -> bytes:
    try:
        return model.read_bytes()
    except OSError as error:
        raise BundleError(f"{model}: {error.strerror}; export the bundle again") from error


class _Workspace:
    """Memory for the tensors of some photos: what a call needs beside the plan."""

    def __init__(self, plan: Plan, library: Library, capacity: int) -> None:
        self._sizes = np.array([tensor.bytes for tensor in plan.buffers], np.uintp)
        ends = np.cumsum(self._sizes * np.uintp(capacity)).astype(np.int64)
        self._memory = aligned(int(ends[-1]))
        starts = [0, *ends[:-1].tolist()]
        for tensor, at in zip(plan.buffers, starts, strict=True):
            self._memory[at : at + tensor.bytes * capacity] = tensor.fill
        self._addresses = np.array([self._memory.ctypes.data + at for at in starts], np.uintp)
        self._job = Job(
            steps=ctypes.addressof(plan.steps),
            count=len(plan.steps),
            isa=ISA[library.instructions],
            photo_bytes=plan.image_size**2 * 3,
            buffers=self._addresses.ctypes.data,
            sizes=self._sizes.ctypes.data,
        )

    def run(self, library: Library, pixels: NDArray[np.uint8], scores: NDArray[np.float32], pool: int | None) -> None:
        self._job.photos = len(pixels)
        self._job.pixels = pixels.ctypes.data  # which may be read-only
        self._job.scores = address_of(scores)
        if library.run(self._job, pool):
            raise RuntimeError(f"the kernel does not run {self._job.count} steps with {library.instructions}")
