"""How bytes lie for kernel.c: tensors with their borders, tiles of outputs, weights in steps."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from runtime.native.library import Instructions

# As in kernel.c.
LANES, DEPTH, QUAD = 16, 64, 4
ROWS = {"amx": 16, "vnni": 12}
STEP = {"amx": DEPTH, "vnni": QUAD}  # products of a step
RUN = {"amx": 16, "vnni": 2}  # rows of a tile that lie at one distance
NONE = -1

GROUP = 2 * LANES  # channels are padded to multiples of what a block computes at least
CACHE_LINE = 64

Index = TypeVar("Index", int, NDArray[np.int64])


class Tensor(NamedTuple):
    """Bytes [place][channel] of one photo: lines of `pitch` places, the picture behind a border on top and left.

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
        places = (self.size + 2 * self.border) * self.pitch + 2 * ROWS["amx"]
        return -(-(places * self.channels + DEPTH) // CACHE_LINE) * CACHE_LINE

    def place(self, y: Index, x: Index) -> Index:
        """The offset of a place of the picture, or of the border where y or x is -1 or `size`."""
        return ((self.border + y) * self.pitch + self.border + x) * self.channels


class Cut(NamedTuple):
    """Which output each row of each tile is, [tiles, rows]; one beyond the picture is computed for nobody."""

    y: NDArray[np.int64]
    x: NDArray[np.int64]


class Tiles(NamedTuple):
    """Where each run of a tile's rows reads, [tiles, runs], and where each row writes, [tiles, rows], or NONE."""

    from_: NDArray[np.int32]
    to: NDArray[np.int32]


class Packed(NamedTuple):
    """Weights in the kernel's order, and the offset of each step of them from a row's first byte."""

    weights: NDArray[np.int8]
    offsets: NDArray[np.int32]


def pack(weights: NDArray[np.int8], tensor: Tensor, instructions: Instructions) -> Packed:
    """Weights [O, C, k, k] as [O / 16, products / 4, 16, 4].

    Places that are neighbours in a line are neighbours in memory: a line of the kernel is one run of products. With AMX
    it is filled up to steps of 64; with VNNI a step is 4 products, and one that is 0 for all outputs is left out.
    """
    outputs, channels, kernel, _ = weights.shape
    run, step = kernel * tensor.channels, STEP[instructions]
    width = -(-run // step) * step
    lines = np.zeros((padded(outputs), kernel, width), np.int8)
    places = np.zeros((outputs, kernel, kernel, tensor.channels), np.int8)
    places[..., :channels] = weights.transpose(0, 2, 3, 1)
    lines[:outputs, :, :run] = places.reshape(outputs, kernel, run)
    steps = lines.reshape(-1, LANES, kernel, width // step, step // QUAD, QUAD)
    needed = steps.any((0, 1, 4, 5)) if instructions == "vnni" else np.ones(steps.shape[2:4], np.bool_)
    y, x = np.nonzero(needed)
    offsets = y * tensor.pitch * tensor.channels + x * step
    return Packed(steps[:, :, y, x].transpose(0, 2, 3, 1, 4), offsets.astype(np.int32))


def every_step(count: int) -> NDArray[np.int32]:
    """The list, as the kernel reads one, that holds all of `count` steps."""
    return np.array([count, *range(count)], np.int32)


def tiles_of(cut: Cut, stride: int, source: Tensor, start: int, target: Tensor, run: int) -> Tiles:
    """Offsets of a cut's rows; the output (0, 0) reads from place (start, start) of `source` on."""
    y, x = cut
    first = source.place(start + stride * y[:, ::run], start + stride * x[:, ::run])
    needed = (x < target.size) & (y < target.size)
    return Tiles(first.astype(np.int32), np.where(needed, target.place(y, x), NONE).astype(np.int32))


def cut_of(size: int, stride: int, pitch: int, instructions: Instructions) -> Cut:
    """How `size` x `size` outputs are cut into tiles: so that least is computed.

    With AMX a tile is one run of rows, and the fewest are taken, since each reads all weights. With stride 1 it may run
    on into the next line, over places that nobody needs.
    """
    most = ROWS[instructions]
    if instructions == "vnni":
        return min(by_lines(size, most), _in_pairs(size, most), key=lambda cut: cut.x.size)
    cuts = [by_lines(size, most)]
    if stride == 1:
        cuts.append(_running_on(size, pitch, most))
    return min(cuts, key=lambda cut: (len(cut.x), cut.x.size))


def by_lines(size: int, most: int) -> Cut:
    """Tiles of at most `most` rows that each stay in a line."""
    in_line = -(-size // most)
    rows = -(-size // in_line)
    y, x = np.divmod(np.arange(size * in_line * rows), in_line * rows)
    return Cut(y.reshape(-1, rows), x.reshape(-1, rows))


def _in_pairs(size: int, most: int) -> Cut:
    """Tiles of pairs of neighbours in a line, wherever the next pair is."""
    in_line = -(-size // 2)
    pairs = in_line * size
    tiles = -(-2 * pairs // most)
    y, x = np.divmod(np.arange(tiles * -(-pairs // tiles)), in_line)
    beyond = np.maximum(y - size + 1, 0)  # the last tile's, which go on behind the last line
    y, x = y - beyond, 2 * (x + beyond * in_line)
    return Cut(np.repeat(y, 2).reshape(tiles, -1), np.stack([x, x + 1], 1).reshape(tiles, -1))


def _running_on(size: int, pitch: int, most: int) -> Cut:
    """Tiles one after the other, whatever lies between two lines included."""
    places = (size - 1) * pitch + size
    tiles = -(-places // most)
    rows = -(-places // tiles)
    y, x = np.divmod(np.arange(tiles * rows), pitch)
    return Cut(y.reshape(tiles, rows), x.reshape(tiles, rows))


def padded(channels: int) -> int:
    """How many channels lie there for so many."""
    return -(-channels // GROUP) * GROUP
