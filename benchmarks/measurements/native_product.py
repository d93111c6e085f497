"""INT8 matrix product by the native kernel: its peak throughput, to compare a whole model with."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from runtime.native.library import ISA, Job, Library, Step
from runtime.native.memory_planner import aligned
from runtime.native.steps import CONVOLUTION
from runtime.native.weight_packing import DEPTH, LANES, NONE, ROWS, RUN, STEP, full_list


class NativeProduct:
    """uint8 `left` [rows, inner] times int8 `right` [inner, columns], times `scale`, as bytes [rows, columns].

    A convolution of one place, as the kernel sees it; `inner` is a multiple of 64, `columns` one of 64.
    """

    def __init__(
        self, left: NDArray[np.uint8], right: NDArray[np.int8], scale: float, library: Library, *, threads: int
    ) -> None:
        """Lay it out for the library's instructions."""
        (rows, inner), columns = left.shape, right.shape[1]
        height, step = ROWS[library.layout], STEP[library.layout]
        tiles = -(-rows // height)
        places = np.arange(tiles * height, dtype=np.int32)
        self._run = library.run
        self._pool = library.pool_create(threads - 1) if threads > 1 else None
        self._pool_destroy: Callable[[int], None] = library.pool_destroy
        self._left = np.zeros((tiles * height, inner), np.uint8)
        self._left[:rows] = left
        self.result = np.zeros((rows, columns), np.uint8)
        packed = right.T.reshape(columns // LANES, LANES, inner // DEPTH, DEPTH // 4, 4).transpose(0, 2, 3, 1, 4)
        self._weights = aligned(right.nbytes).view(np.int8)
        self._weights[:] = packed.ravel()
        self._arrays: dict[str, NDArray[np.generic]] = {
            "k_offsets": np.arange(0, inner, step, dtype=np.int32),
            "full_list": full_list(inner // step),
            "input_offsets": places[:: RUN[library.layout]] * np.int32(inner),
            "output_offsets": np.where(places < rows, places * np.int32(columns), np.int32(NONE)),
            "weights": self._weights,
            "bias": np.zeros(columns, np.int32),
            "scale": np.full(columns, scale, np.float32),
        }
        self._step = Step(
            kind=CONVOLUTION,
            input=0,
            output=1,
            residual=NONE,
            channels=inner,
            outputs=columns,
            k_steps=inner // step,
            row_stride=inner,
            tiles=tiles,
            rows=height,
            group_bytes=inner * LANES,
            nonzero_list=NONE,
            **{name: array.ctypes.data for name, array in self._arrays.items()},
        )
        self._buffers = np.array([self._left.ctypes.data, self.result.ctypes.data], np.uintp)
        self._sizes = np.array([self._left.nbytes, self.result.nbytes], np.uintp)
        self._job = Job(
            steps=ctypes.addressof(self._step),
            count=1,
            photos=1,
            isa=ISA[library.instructions],
            buffers=self._buffers.ctypes.data,
            sizes=self._sizes.ctypes.data,
        )

    def __call__(self) -> None:
        """Compute it once more."""
        self._run(self._job, self._pool)

    def close(self) -> None:
        """End the thread pool."""
        if self._pool is not None:
            self._pool_destroy(self._pool)
