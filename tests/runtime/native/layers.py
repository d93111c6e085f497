"""What the kernel makes of each layer: the bytes of a plan's tensors, read from its memory after each step."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from runtime.inference.native_session import _Workspace
from runtime.native.library import Library
from runtime.native.steps import CONVOLUTION, MAX_POOLING, WINOGRAD, Plan
from runtime.native.weight_packing import Tensor


def layers_bytes(
    plan: Plan, library: Library, pixels: NDArray[np.uint8], pool: int | None = None
) -> Iterator[NDArray[np.uint8]]:
    """The kernel's bytes of the output of each layer, [N, size, size, channels], as soon as it has run."""
    workspace = _Workspace(plan, library, len(pixels))
    scores = np.empty((len(pixels), len(plan.bias), plan.map_size, plan.map_size), np.float32)
    numbers = [i for i, step in enumerate(plan.steps) if step.kind in {CONVOLUTION, MAX_POOLING, WINOGRAD}]
    for begin, number in pairwise([-1, *numbers]):
        workspace._job.steps = ctypes.addressof(plan.steps[begin + 1])
        workspace._job.count = number - begin
        workspace.run(library, pixels, scores, pool)
        yield _output_bytes(plan, workspace, len(pixels), number)


def _output_bytes(plan: Plan, workspace: _Workspace, photos: int, number: int) -> NDArray[np.uint8]:
    step = plan.steps[number]
    tensor = plan.buffers[step.output]
    assert isinstance(tensor, Tensor)
    address = int(workspace._addresses[step.output])
    memory = np.array((ctypes.c_uint8 * (tensor.bytes * photos)).from_address(address)).reshape(photos, -1)
    side = np.arange(tensor.size)
    first = tensor.place(side[:, np.newaxis], side)
    return memory[:, first[..., np.newaxis] + np.arange(tensor.channels)]
