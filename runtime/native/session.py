"""One model in the native kernel: the same calls as `runtime.session.Session`."""

from __future__ import annotations

import ctypes
import weakref
from collections import deque
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.bundle import BundleError
from runtime.image import ImageSpec
from runtime.inference import Inference, at_once
from runtime.native.library import Instructions, Job, Library
from runtime.native.model_file import read_graph
from runtime.native.network import UnknownGraphError, read_network
from runtime.native.plan import Plan, aligned, lay_out


class NativeSession:
    """A model by VNNI or AMX. Safe to call from several threads; one of them at a time has the help of others."""

    def __init__(
        self, plan: Plan, library: Library, *, threads: int, workspaces: deque[_Workspace] | None = None
    ) -> None:
        """`threads` for one inference, those that help asleep between two; `workspaces` are another session's."""
        self._plan = plan
        self._library = library
        self._capacity = at_once(ImageSpec(height=plan.image_size, width=plan.image_size))
        self._idle: deque[_Workspace] = deque() if workspaces is None else workspaces
        self._crew = library.hire(threads - 1) if threads > 1 else None  # none where the system gives no threads
        if self._crew is not None:
            # Not at the end of the process, when another thread may be at work with them.
            weakref.finalize(self, library.dismiss, self._crew).atexit = False

    def wider(self, threads: int) -> NativeSession:
        """The same weights and workspaces, on more threads."""
        return NativeSession(self._plan, self._library, threads=threads, workspaces=self._idle)

    def infer(self, pixels: NDArray[np.uint8]) -> Inference:
        """Classify `pixels` [N, height, width, 3], RGB, 0..255."""
        plan = self._plan
        pixels = np.ascontiguousarray(pixels)
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (plan.image_size, plan.image_size, 3):
            raise ValueError(f"pixels are {pixels.dtype} {pixels.shape}, not uint8 [N, {plan.image_size}, …, 3]")
        evidence = np.empty((len(pixels), len(plan.bias), plan.map_size, plan.map_size), np.float32)
        try:
            workspace = self._idle.pop()
        except IndexError:
            workspace = _Workspace(plan, self._capacity)
        for start in range(0, len(pixels), self._capacity):
            part = slice(start, start + self._capacity)
            workspace.run(self._library, pixels[part], evidence[part], self._crew)
        self._idle.append(workspace)
        logits = (evidence.mean((2, 3)) + plan.bias) / plan.temperature
        odds = np.exp(logits - logits.max(1, keepdims=True))
        return Inference(odds / odds.sum(1, keepdims=True), evidence)


def open_native(model: Path, spec: ImageSpec, classes: int, library: Library, *, threads: int) -> NativeSession:
    """The INT8 file `model` in the native kernel.

    Raises UnknownGraphError for a graph that only onnxruntime computes, BundleError for a file that cannot be read.
    """
    try:
        content = model.read_bytes()
    except OSError as error:
        raise BundleError(f"{model}: {error.strerror}; export the bundle again") from error
    plan = plan_of(content, spec, classes, library.instructions)
    return NativeSession(plan, library, threads=threads)


def plan_of(content: bytes, spec: ImageSpec, classes: int, instructions: Instructions) -> Plan:
    """The plan of an ONNX file's network; raises UnknownGraphError, whatever is wrong with it or only new to us."""
    try:
        return lay_out(read_network(read_graph(content), spec, classes), instructions)
    except UnknownGraphError:
        raise
    except (ArithmeticError, LookupError, StopIteration, TypeError, ValueError) as error:
        raise UnknownGraphError(f"its graph cannot be read ({error!r})") from error


class _Workspace:
    """Memory for the tensors of some photos: what a call needs beside the plan."""

    def __init__(self, plan: Plan, capacity: int) -> None:
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
            amx=plan.instructions == "amx",
            photo_bytes=plan.image_size**2 * 3,
            buffers=self._addresses.ctypes.data,
            sizes=self._sizes.ctypes.data,
        )

    def run(self, library: Library, pixels: NDArray[np.uint8], evidence: NDArray[np.float32], crew: int | None) -> None:
        self._job.photos = len(pixels)
        self._job.pixels = pixels.ctypes.data
        self._job.evidence = evidence.ctypes.data
        if library.run(self._job, crew):
            raise RuntimeError(f"the kernel does not compute {self._job.count} layers")
