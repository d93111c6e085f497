"""INT8 matrix product by the native kernel: its peak throughput, to compare a whole model with."""

from __future__ import annotations

import ctypes

import numpy as np
from numpy.typing import NDArray

from runtime.native.layout import ISA, LAYOUTS, Instructions
from runtime.native.library import Job, Library, Step
from runtime.native.memory_planner import aligned
from runtime.native.steps import BUILD_NONZERO_LIST, CONVOLUTION, LIST_ROOM
from runtime.native.weight_packing import NONE, Tensor, full_list, pack


class NativeProduct:
    """uint8 `left` [rows, inner] times int8 `right` [inner, columns], times `scale`, as bytes [rows, columns].

    A convolution of one place, as the kernel sees it; `inner` is a multiple of 64, `columns` one of 64. What is made of
    `left` before a convolution (16-bit integers, lists) is made once, and no part of the calls.
    """

    def __init__(
        self,
        left: NDArray[np.uint8],
        right: NDArray[np.int8],
        scale: float,
        library: Library,
        *,
        threads: int,
        layout: Instructions | None = None,
    ) -> None:
        """Lay it out for the library's instructions, or for others, which the reference reads as well."""
        self._layout = LAYOUTS[layout or library.layout]
        self._library = library
        self._pool = library.pool_create(threads - 1) if threads > 1 else None
        self.result = np.zeros((len(left), right.shape[1]), np.uint8)
        self._lists = np.zeros(0, np.uint8)
        self._kept: list[NDArray[np.generic]] = []  # what the kernel's structures point at
        self._step = self._laid_out(left, right, scale)
        if self._layout.needs_lists:
            self._list()
        self._job = self._job_of(self._step)

    def _laid_out(self, left: NDArray[np.uint8], right: NDArray[np.int8], scale: float) -> Step:
        (rows, inner), columns, layout = left.shape, right.shape[1], self._layout
        tiles = -(-rows // layout.rows)
        places = np.arange(tiles * layout.rows, dtype=np.int32)
        # Behind the last row lies what a step reads beyond its products.
        self._left = np.zeros(places.size * inner + layout.reads, np.int16 if layout.wide else np.uint8)
        self._left[: rows * inner] = left.ravel()
        size = self._left.itemsize
        packed = pack(right.T[:, :, np.newaxis, np.newaxis], Tensor(1, inner, 0, 0), layout)
        steps = len(packed.offsets) - 1
        weights = aligned(packed.weights.nbytes).view(layout.weights)
        weights[:] = packed.weights.ravel()
        arrays: dict[str, NDArray[np.generic]] = {
            "k_offsets": packed.offsets * np.int32(size),
            "full_list": full_list(steps),
            "input_offsets": places[:: layout.run] * np.int32(size * inner),
            "output_offsets": np.where(places < rows, places * np.int32(columns), np.int32(NONE)),
            "weights": weights,
            "bias": np.zeros(columns, np.int32),
            "scale": np.full(columns, scale, np.float32),
        }
        self._kept += arrays.values()
        return Step(
            kind=CONVOLUTION,
            input=0,
            output=1,
            residual=NONE,
            channels=inner,
            outputs=columns,
            k_steps=steps,
            row_stride=size * inner,
            tiles=tiles,
            rows=layout.rows,
            run=layout.run,
            products=layout.products,
            unit=layout.unit,
            weight_bytes=packed.weights.itemsize,
            activation_bytes=size,
            weight_zero=layout.weight_zero,
            lanes=layout.lanes,
            group_bytes=packed.weights[0].nbytes,
            nonzero_list=NONE,
            **{name: array.ctypes.data for name, array in arrays.items()},
        )

    def _list(self) -> None:
        """What the kernel takes from a list, made by the kernel: the same in each call."""
        layout, step = self._layout, self._step
        step.list_capacity = -(-(1 + step.k_steps + LIST_ROOM) // LIST_ROOM) * LIST_ROOM
        if layout.gathers:
            step.gathered = step.list_capacity
            step.list_capacity += step.k_steps * layout.rows * layout.products // 4
        step.nonzero_list = 2
        self._lists = aligned(step.tiles * step.list_capacity * 4)
        making = Step.from_buffer_copy(step)
        making.kind, making.output, making.chunk = BUILD_NONZERO_LIST, 2, 1
        self._library.run(self._job_of(making), None)

    def _job_of(self, step: Step) -> Job:
        used = [self._left, self.result, self._lists]
        buffers = np.array([array.ctypes.data for array in used], np.uintp)
        sizes = np.array([array.nbytes for array in used], np.uintp)
        self._kept += [buffers, sizes]
        return Job(
            steps=ctypes.addressof(step),
            count=1,
            photos=1,
            isa=ISA[self._library.instructions],
            buffers=buffers.ctypes.data,
            sizes=sizes.ctypes.data,
        )

    def __call__(self) -> None:
        """Compute it once more."""
        self._library.run(self._job, self._pool)

    def close(self) -> None:
        """End the thread pool."""
        if self._pool is not None:
            self._library.pool_destroy(self._pool)
