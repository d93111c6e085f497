"""Execution plan: the kernel's steps, the buffers that they share, and the arrays that they point at."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.bundle.input import ImageSpec, max_batch_size
from runtime.native.layout import Instructions
from runtime.native.library import Step
from runtime.native.weight_packing import Tensor

# As in kernel/api.h.
MAX_STEPS = 128
SPACE_TO_DEPTH, CONVOLUTION, MAX_POOLING, CLASS_SCORES, BUILD_NONZERO_LIST, WIDEN = range(6)
WINOGRAD_INPUT, WINOGRAD = 6, 7

LIST_ROOM = 16  # integers behind a list: entries are written up to 16 at once, and sums of activations are at the end
LIST_BUFFER = 0  # the buffer that holds the lists
WIDE_BUFFER = 1  # the buffer that holds a tensor of 16-bit integers, or one that is transformed
WIDEN_PIECE = 4096  # activations of a tile of WIDEN


class Scratch(NamedTuple):
    """Room for what one layer needs at a time: the lists of its tiles' steps, or its input, widened or transformed."""

    bytes: int
    fill: int = 0


@dataclass(frozen=True)
class Plan:
    """A network laid out for one instruction set. `arrays` are those behind the steps' pointers, by address.

    `buffers` are shared: one holds several tensors of the same layout, one after the other.
    """

    instructions: Instructions
    steps: ctypes.Array[Step]
    buffers: list[Tensor | Scratch]
    image_size: int
    map_size: int
    bias: NDArray[np.float32]
    temperature: np.float32
    arrays: dict[int, NDArray[np.generic]]


def max_batch_size_of(image_size: int) -> int:
    """How many photos of `image_size` px a side the buffers have room for."""
    return max_batch_size(ImageSpec(height=image_size, width=image_size))
