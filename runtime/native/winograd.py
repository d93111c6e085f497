"""Winograd's minimal filtering (https://arxiv.org/abs/1509.09308): which layers are computed by it, and their arrays.

An output tile of `side` x `side` places takes a patch of its input. Patch and weights are transformed, multiplied place
by place over all channels, and the sums are transformed back. With a kernel of 3 x 3 that is 16 products for 2 x 2
outputs and 36 for 4 x 4, where the direct convolution takes 36 and 144; with one of 4 x 4 it is 36 for 3 x 3 outputs,
in place of 144.

All of it is exact. `Transform` has integers alone, by which an output comes out `scale` times too large: an output y is
what the kernel makes of `scale` * y modulo 2^32, as long as |y| is at most `Transform.largest`. Neither sums nor what
they are transformed to need to fit 32 bits before that.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.native.layout import GROUP, Layout
from runtime.native.library import LARGEST
from runtime.native.onnx_importer import Convolution
from runtime.native.weight_packing import NONE, Tensor, Tiles, int32, padded

LARGEST_INPUT = 255
BYTES_A_CYCLE = 3  # of weights, from the memory of a small host
# By channels of a step: of the time of a direct convolution that leaves out steps of zeros, a share of about so many /
# channels is left. Of the default network's fours, in six rows, 0.93 are left with 128 channels, 0.85 with 256, and 0.5
# with 512; of its pairs 0.9, 0.75 and 0.4. Of its single channels 0.6, 0.45 and 0.2, but each takes 1.4 times the
# instructions of one that Winograd's multiplies, whose weights are not widened, and whose activations are loaded eight
# at a time.
DENSE_CHANNELS = {1: 150, 2: 200, 4: 230}


class Transform(NamedTuple):
    """The matrices of one size of tile, as kernel/winograd_reference.c has them: B^T, G and A^T of the paper.

    G has integers in place of fractions, each line of it times a number of its own, and A^T what is left of `scale`.
    """

    inputs: NDArray[np.int64]  # [patch, patch]
    weights: NDArray[np.int64]  # [patch, kernel]
    outputs: NDArray[np.int64]  # [side, patch]
    odd: int  # the odd part of `scale`
    shift: int  # and the exponent of its power of two

    @property
    def side(self) -> int:
        """Of the outputs of a tile, in places."""
        return len(self.outputs)

    @property
    def patch(self) -> int:
        """Of the inputs of a tile, in places a side."""
        return len(self.inputs)

    @property
    def kernel(self) -> int:
        """Of the weights that it is for, in places a side."""
        return int(self.weights.shape[1])

    @property
    def scale(self) -> int:
        """By which sums come out too large."""
        return self.odd << self.shift

    @property
    def largest(self) -> int:
        """The largest output that is exact.

        An odd number can be divided by modulo 2^32; what is left is shifted down, and has lost `shift` bits on top.
        """
        return LARGEST >> self.shift


TWO = Transform(
    inputs=np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]]),
    weights=np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]]),
    outputs=np.array([[1, 1, 1, 0], [0, 1, -1, -1]]),
    odd=1,
    shift=2,
)
FOUR = Transform(
    inputs=np.array(
        [
            [4, 0, -5, 0, 1, 0],
            [0, -4, -4, 1, 1, 0],
            [0, 4, -4, -1, 1, 0],
            [0, -2, -1, 2, 1, 0],
            [0, 2, -1, -2, 1, 0],
            [0, 4, 0, -5, 0, 1],
        ]
    ),
    weights=np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 12]]),
    outputs=np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 2]]),
    odd=9,
    shift=6,
)
THREE = Transform(
    inputs=FOUR.inputs,
    weights=np.array([[6, 0, 0, 0], [-4, -4, -4, -4], [-4, 4, -4, 4], [1, 2, 4, 8], [1, -2, 4, -8], [0, 0, 0, 12]]),
    outputs=np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 2]]),
    odd=9,
    shift=6,
)
TRANSFORMS = {transform.side: transform for transform in (TWO, THREE, FOUR)}
MOST_FILLED = 4 / 3  # of the channels that are transformed over those that there are


def choose_transform(layer: Convolution, source: Tensor, layout: Layout) -> Transform | None:
    """That with which a layer takes the least time; None where it is the direct convolution.

    The time is that of the products and of reading the weights: a small host has no room to keep them, and a large
    tile has four times as many.
    """
    outputs, _, kernel, _ = layer.weights.shape
    if not layout.winograd or layer.stride != 1 or layer.size != source.size or source.channels % 4:
        return None
    if channels_of(source, layout) > MOST_FILLED * source.channels:
        return None
    sparse = 0 < layout.sparse_outputs <= outputs and layer.input_quantisation.zero_point == 0
    entries = source.channels * padded(outputs)

    density = min(1, DENSE_CHANNELS[layout.products] / source.channels) if sparse else 1.0

    def cycles(products: float, weights: int, weight_bytes: int) -> float:
        return entries * (products / layout.winograd + weights * weight_bytes / BYTES_A_CYCLE)

    direct = layer.size**2 * kernel**2 * density / layout.direct
    least = cycles(direct, kernel**2, np.dtype(layout.weights).itemsize)
    best = None
    for transform in TRANSFORMS.values():
        if kernel != transform.kernel or layer.size < transform.side or not is_exact(layer.weights, transform):
            continue
        tiles = (-(-layer.size // transform.side)) ** 2
        time = cycles(tiles * transform.patch**2, transform.patch**2, 2)
        if time < least:
            best, least = transform, time
    return best


def is_exact(weights: NDArray[np.int8], transform: Transform) -> bool:
    """Whether no output of weights [O, C, k, k] can be larger than the transform's largest."""
    most = np.abs(weights, dtype=np.int16).sum((1, 2, 3), dtype=np.int64).max(initial=0)
    return bool(LARGEST_INPUT * most <= transform.largest)


def transform_weights(weights: NDArray[np.int8], tensor: Tensor, transform: Transform, unit: int) -> NDArray[np.int16]:
    """Weights [O, C, k, k] as [O / 32, patch * patch, channels / unit, 32, unit], G w G^T of each output and channel.

    They fit 16 bits: a line of G has at most 16 in all, and 16 * 16 * 127 is 32512.
    """
    outputs, channels = weights.shape[:2]
    patch, g = transform.patch, transform.weights.astype(np.int32)
    packed = np.zeros((padded(outputs) // GROUP, patch**2, tensor.channels // unit, GROUP, unit), np.int16)
    for group in range(len(packed)):  # a group at a time: the transformed ones take a multiple of the memory
        some = weights[group * GROUP :][:GROUP].astype(np.int32)
        made = np.einsum("yi,ocij,xj->yxco", g, some, g, optimize=True)
        whole = np.zeros((patch**2, tensor.channels, GROUP), np.int16)
        whole[:, :channels, : len(some)] = made.reshape(patch**2, channels, len(some))
        packed[group] = whole.reshape(patch**2, tensor.channels // unit, unit, GROUP).swapaxes(2, 3)
    return packed


def channels_of(source: Tensor, layout: Layout) -> int:
    """Channels of a transformed input: those of the tensor, and of its next place what fills up a vector."""
    return -(-source.channels // layout.transformed) * layout.transformed


def patch_offsets(source: Tensor, transform: Transform) -> NDArray[np.int32]:
    """From a patch's first byte to each of its lines, [patch]."""
    return int32(np.arange(transform.patch) * source.pitch * source.channels, "patches")


def tiles_of(source: Tensor, padding: int, made: Tensor, transform: Transform) -> Tiles:
    """Where each tile's patch begins, [tiles, 1], and where its outputs are written, [tiles, side * side], or NONE.

    The last tile of a line, and those of the last line, go back so that they end with the picture: what a tile before
    them has computed is not written again.
    """
    side, size = transform.side, made.size
    first = np.arange(-(-size // side)) * side
    start = np.minimum(first, size - side)
    inner = np.arange(side)
    places = start[:, np.newaxis] + inner  # [tiles of a line, side]
    new = places >= first[:, np.newaxis]
    y, x = places[:, np.newaxis, :, np.newaxis], places[np.newaxis, :, np.newaxis, :]
    needed = new[:, np.newaxis, :, np.newaxis] & new[np.newaxis, :, np.newaxis, :]
    outputs = np.where(needed, made.place(y, x), NONE).reshape(-1, side**2)
    inputs = source.place(start[:, np.newaxis] - padding, start[np.newaxis, :] - padding).reshape(-1, 1)
    return Tiles(int32(inputs, "inputs"), int32(outputs, "outputs"))
