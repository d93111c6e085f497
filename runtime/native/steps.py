"""Execution plan: the kernel's steps, the buffers that they share, and the arrays that they point at."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.bundle.input import ImageSpec, max_batch_size
from runtime.native.library import Layout, Step
from runtime.native.weight_packing import Tensor

# As in kernel/api.h.
MAX_STEPS = 128
SPACE_TO_DEPTH, CONVOLUTION, MAX_POOLING, CLASS_SCORES, BUILD_NONZERO_LIST = range(5)

LIST_STEPS = 16  # steps of the reduction that BUILD_NONZERO_LIST looks at in one go
LIST_BUFFER = 0  # the buffer that holds the lists


class NonzeroLists(NamedTuple):
    """Room for the lists of one layer's tiles at a time: of each how many steps it takes, and they."""

    bytes: int
    fill: int = 0


@dataclass(frozen=True)
class Plan:
    """A network in the layout of one instruction set. `arrays` are those behind the steps' pointers, by address.

    `buffers` are shared: one holds several tensors of the same layout, one after the other.
    """

    layout: Layout
    steps: ctypes.Array[Step]
    buffers: list[Tensor | NonzeroLists]
    image_size: int
    map_size: int
    bias: NDArray[np.float32]
    temperature: np.float32
    arrays: dict[int, NDArray[np.generic]]


def max_batch_size_of(image_size: int) -> int:
    """How many photos of `image_size` px a side the buffers have room for."""
    return max_batch_size(ImageSpec(height=image_size, width=image_size))
