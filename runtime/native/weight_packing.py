"""Weight packing and tiling: NHWC tensors with borders, tiles of output places, weights in steps of the reduction."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from runtime.native.layout import GROUP, MOST_READ, MOST_ROWS, Layout
from runtime.native.library import LARGEST

NONE = -1
CACHE_LINE = 64

Index = TypeVar("Index", int, NDArray[np.int64])


class Tensor(NamedTuple):
    """One photo's activations as NHWC bytes: lines of `pitch` places, the picture behind a border on top and left.

    The border on the right is the next line's left one; below the picture there is another.
    """

    size: int  # of the picture, a side
    channels: int
    border: int
    fill: int  # the byte of all that is not the picture: the zero point

    @property
    def pitch(self) -> int:
        """Places from one line to the next."""
        return self.size + self.border

    @property
    def bytes(self) -> int:
        """Of one photo, with what the last tile and the last step of a line read behind the end."""
        places = (self.size + 2 * self.border) * self.pitch + 2 * MOST_ROWS
        return -(-(places * self.channels + MOST_READ) // CACHE_LINE) * CACHE_LINE

    def place(self, y: Index, x: Index) -> Index:
        """The offset of a place of the picture, or of the border where y or x is -1 or `size`."""
        return ((self.border + y) * self.pitch + self.border + x) * self.channels


class Tiling(NamedTuple):
    """Which output each row of each tile is, [tiles, rows]; one beyond the picture is computed for nobody."""

    y: NDArray[np.int64]
    x: NDArray[np.int64]


class Tiles(NamedTuple):
    """Where each run of a tile's rows reads, [tiles, runs], and where each row writes, [tiles, rows], or NONE."""

    input_offsets: NDArray[np.int32]
    output_offsets: NDArray[np.int32]


class Packed(NamedTuple):
    """Weights in the kernel's order, and the offset of each step of them from a row's first byte."""

    weights: NDArray[np.int8 | np.int16]
    offsets: NDArray[np.int32]


def pack(weights: NDArray[np.int8], tensor: Tensor, layout: Layout) -> Packed:
    """Pack weights [O, C, k, k] as [O / lanes, steps + 1, products / unit, lanes, unit], and the steps' offsets.

    Places that are neighbours in a line are neighbours in memory: a line of the kernel is one run of products, filled
    up to whole steps. Where a step is no more than a unit, one that is 0 for all outputs is left out; not where weights
    have a zero point, since the kernel adds up the activations of neighbouring steps together. The last step has no
    weights: it makes the length of a list even.
    Raises OverflowError, before it takes memory, where a group of outputs has more weights than the kernel can count.
    """
    outputs, channels, kernel, _ = weights.shape
    run, step, unit = kernel * tensor.channels, layout.products, layout.unit
    width = -(-run // step) * step
    group_bytes = kernel * width // step * layout.step_bytes
    if group_bytes > LARGEST:
        raise OverflowError(f"the weights of {layout.lanes} outputs take {group_bytes} bytes")
    lines = np.zeros((padded(outputs), kernel, width), np.int8)
    places = np.zeros((outputs, kernel, kernel, tensor.channels), np.int8)
    places[..., :channels] = weights.transpose(0, 2, 3, 1)
    lines[:outputs, :, :run] = places.reshape(outputs, kernel, run)
    steps = lines.reshape(-1, layout.lanes, kernel, width // step, step // unit, unit)
    leaves_out = step == unit and not layout.weight_zero
    needed = steps.any((0, 1, 4, 5)) if leaves_out else np.ones(steps.shape[2:4], np.bool_)
    y, x = np.nonzero(needed)
    offsets = y * tensor.pitch * tensor.channels + x * step
    packed = np.zeros((len(steps), len(y) + 1, step // unit, layout.lanes, unit), layout.weights)
    packed[:, :-1] = steps[:, :, y, x].transpose(0, 2, 3, 1, 4)
    if layout.weight_zero:
        packed[:, :-1] ^= np.int8(-128)  # a byte of 128 and more is told as a negative one
    return Packed(packed, int32(np.append(offsets, 0), "steps"))


def full_list(count: int) -> NDArray[np.int32]:
    """The list, as the kernel reads one, of all `count` steps of a reduction: none is skipped. Its length is even."""
    even = count + count % 2
    return np.array([even, *range(even)], np.int32)


def tile_offsets(tiling: Tiling, stride: int, source: Tensor, start: int, target: Tensor, run: int) -> Tiles:
    """Offsets of a tiling's rows; the output (0, 0) reads from place (start, start) of `source` on.

    A row of its own that is beyond the picture reads where the last one does. Raises OverflowError where an offset is
    larger than the kernel's integers.
    """
    y, x = tiling
    needed = (x < target.size) & (y < target.size)
    if run == 1:
        x = np.minimum(x, target.size - 1)
    first = source.place(start + stride * y[:, ::run], start + stride * x[:, ::run])
    return Tiles(int32(first, "inputs"), int32(np.where(needed, target.place(y, x), NONE), "outputs"))


def int32(values: NDArray[np.int64], what: str) -> NDArray[np.int32]:
    """`values` as the kernel's integers; raises OverflowError where one does not fit. `what` they belong to."""
    lowest, highest = values.min(initial=0), values.max(initial=0)
    if lowest < -LARGEST - 1 or highest > LARGEST:
        raise OverflowError(f"the numbers of its {what} go from {lowest} to {highest}, beyond {LARGEST}")
    return values.astype(np.int32)


def choose_tiling(size: int, stride: int, pitch: int, layout: Layout) -> Tiling:
    """The tiling of `size` x `size` outputs that computes least.

    Where each row has an offset of its own, tiles take the places one after the other. With AMX a tile is one run of
    rows, and the fewest are taken, since each reads all weights. With stride 1 it may run on into the next line, over
    places that nobody needs.
    """
    if layout.run == 1:
        return _tiles_of_places(size, layout.rows)
    tilings = [tiles_in_lines(size, layout.rows)]
    if stride == 1:
        tilings.append(_tiles_across_lines(size, pitch, layout.rows))
    return min(tilings, key=lambda tiling: (len(tiling.x), tiling.x.size))


def tiles_in_lines(size: int, most: int) -> Tiling:
    """Tiles of at most `most` rows that each stay in a line."""
    in_line = -(-size // most)
    rows = -(-size // in_line)
    y, x = np.divmod(np.arange(size * in_line * rows), in_line * rows)
    return Tiling(y.reshape(-1, rows), x.reshape(-1, rows))


def _tiles_of_places(size: int, most: int) -> Tiling:
    """Tiles of the places one after the other, line by line; the last one goes on beyond the end of the last line."""
    rows = min(most, size**2)
    tiles = -(-(size**2) // rows)
    places = np.arange(tiles * rows)
    y = np.minimum(places // size, size - 1)
    return Tiling(y.reshape(tiles, rows), (places - y * size).reshape(tiles, rows))


def _tiles_across_lines(size: int, pitch: int, most: int) -> Tiling:
    """Tiles one after the other, whatever lies between two lines included."""
    places = (size - 1) * pitch + size
    tiles = -(-places // most)
    rows = -(-places // tiles)
    y, x = np.divmod(np.arange(tiles * rows), pitch)
    return Tiling(y.reshape(tiles, rows), x.reshape(tiles, rows))


def padded(channels: int) -> int:
    """How many channels lie there for so many."""
    return -(-channels // GROUP) * GROUP
