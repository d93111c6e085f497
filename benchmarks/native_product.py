"""The plain INT8 matrix product of the native kernel: its own peak, to hold a whole model against."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from runtime.native.layout import DEPTH, LANES, NONE, ROWS, RUN, STEP, every_step
from runtime.native.library import Job, Library, Step
from runtime.native.plan import CONVOLUTION, aligned


class NativeProduct:
    """uint8 `left` [rows, inner] times int8 `right` [inner, columns], times `scale`, as bytes [rows, columns].

    A convolution of one place, as the kernel sees it; `inner` is a multiple of 64, `columns` one of 64.
    """

    def __init__(
        self, left: NDArray[np.uint8], right: NDArray[np.int8], scale: float, library: Library, *, threads: int
    ) -> None:
        """Lay it out for the library's instructions."""
        (rows, inner), columns = left.shape, right.shape[1]
        height, step = ROWS[library.instructions], STEP[library.instructions]
        tiles = -(-rows // height)
        places = np.arange(tiles * height, dtype=np.int32)
        self._run = library.run
        self._crew = library.hire(threads - 1) if threads > 1 else None
        self._dismiss: Callable[[int], None] = library.dismiss
        self._left = np.zeros((tiles * height, inner), np.uint8)
        self._left[:rows] = left
        self.result = np.zeros((rows, columns), np.uint8)
        packed = right.T.reshape(columns // LANES, LANES, inner // DEPTH, DEPTH // 4, 4).transpose(0, 2, 3, 1, 4)
        self._weights = aligned(right.nbytes).view(np.int8)
        self._weights[:] = packed.ravel()
        self._arrays: dict[str, NDArray[np.generic]] = {
            "offsets": np.arange(0, inner, step, dtype=np.int32),
            "every": every_step(inner // step),
            "from_": places[:: RUN[library.instructions]] * np.int32(inner),
            "to": np.where(places < rows, places * np.int32(columns), np.int32(NONE)),
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
            steps=inner // step,
            distance=inner,
            tiles=tiles,
            rows=height,
            group_bytes=inner * LANES,
            list=NONE,
            **{name: array.ctypes.data for name, array in self._arrays.items()},
        )
        self._buffers = np.array([self._left.ctypes.data, self.result.ctypes.data], np.uintp)
        self._sizes = np.array([self._left.nbytes, self.result.nbytes], np.uintp)
        self._job = Job(
            steps=ctypes.addressof(self._step),
            count=1,
            photos=1,
            amx=library.instructions == "amx",
            buffers=self._buffers.ctypes.data,
            sizes=self._sizes.ctypes.data,
        )

    def __call__(self) -> None:
        """Compute it once more."""
        self._run(self._job, self._crew)

    def close(self) -> None:
        """End the threads that help."""
        if self._crew is not None:
            self._dismiss(self._crew)
