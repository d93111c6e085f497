"""Reordering of channels: zeros lie together, so that the native kernel can leave out more of them.

docs/kernel.md, "Activation sparsity", says what that gains. It changes no answer but by rounding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from export.channels.activation_tiles import Tiling, activations, convolutions, multiply_adds, needed_share, tiles
from export.channels.channel_groups import channel_groups, permute
from export.channels.channel_order import ROWS, TILINGS, Order, find_order
from runtime.native.onnx_importer import Convolution
from runtime.teaching.onnx_head import WEIGHTS

SAMPLES = 2048  # tiles of a group; four times as many save a thousandth more
HELD_OUT = 4  # one photo of so many says what an order found from the others gains


Nonzero = Mapping[str, NDArray[np.bool_]]  # tensor: [N, H, W, C]


@dataclass(frozen=True)
class NeededSteps:
    """Which share of the reduction's steps is needed by each tiling, weighted by multiply-adds; of how many photos."""

    before: dict[Tiling, float]
    after: dict[Tiling, float]
    photos: int

    def __str__(self) -> str:
        """One line for people."""
        changes = ", ".join(f"{tiling} {self.before[tiling]:.3f} -> {self.after[tiling]:.3f}" for tiling in self.before)
        return f"steps of the reduction that {self.photos} photos need (rows/products): {changes}"


def reorder(
    int8: onnx.ModelProto, pixels: NDArray[np.uint8], *others: onnx.ModelProto, features_too: bool = True
) -> NeededSteps:
    """Bring the channels of an INT8 graph, and of `others` of the same network, into a better order.

    Three of four photos `pixels` [N, side, side, 3] say what is zero together, the others what it gained. A group of
    channels keeps its order if all photos find no gain in another; so do the features that the classifier reads,
    unless `features_too`.
    Raises ValueError and UnknownGraphError for graphs that `export` has not written.
    """
    orders, needed = find_orders(int8, pixels, features_too=features_too)
    for model in (int8, *others):
        permute(model, orders)
    return needed


def find_orders(
    int8: onnx.ModelProto, pixels: NDArray[np.uint8], *, features_too: bool = True
) -> tuple[list[Order], NeededSteps]:
    """What `reorder` would do, and what that gains."""
    layers = convolutions(int8, pixels.shape[1])
    nonzero = {name: found != 0 for name, found in activations(int8, layers, pixels).items()}
    held_out = np.arange(len(pixels)) % HELD_OUT == HELD_OUT - 1
    if not held_out.any():
        held_out = ~held_out
    orders: list[Order] = []
    before, after = np.zeros(len(TILINGS)), np.zeros(len(TILINGS))
    for group in channel_groups(int8):
        readers = [layer for layer in layers if layer.input in group.tensors]
        order: Order = np.arange(group.channels)
        now = then = _needed(readers, nonzero, order)
        stays = not features_too and any(axis.constant == WEIGHTS for axis in group.axes)
        if readers and not stays:
            looked_at = {layer.input: nonzero[layer.input][~held_out | held_out.all()] for layer in readers}
            with threadpool_limits(1, "blas"):  # its products are small: two threads would wait by spinning
                found = find_order({rows: _samples(readers, looked_at, rows) for rows in ROWS})
            then = _needed(readers, nonzero, found)
            order, then = (found, then) if then.mean() < now.mean() else (order, now)
        orders.append(order)
        before += now[:, held_out].mean(axis=1)
        after += then[:, held_out].mean(axis=1)
    total = sum(multiply_adds(layer) for layer in layers)
    shares = [dict(zip(TILINGS, (found / total).tolist(), strict=True)) for found in (before, after)]
    return orders, NeededSteps(shares[0], shares[1], int(held_out.sum()))


def _needed(layers: Sequence[Convolution], nonzero: Nonzero, order: Order) -> NDArray[np.float64]:
    """[TILINGS, N]: multiply-adds that are needed, if the channels that the layers read were in `order`."""
    needed = np.zeros((len(TILINGS), len(next(iter(nonzero.values())))))
    for layer in layers:
        reordered = nonzero[layer.input][..., order]
        for number, tiling in enumerate(TILINGS):
            needed[number] += multiply_adds(layer) * needed_share(layer, reordered, tiling)
    return needed


def _samples(layers: Sequence[Convolution], nonzero: Nonzero, rows: int) -> NDArray[np.bool_]:
    """[S, C]: what tiles have; as many of each layer as it has of the multiply-adds."""
    total = sum(multiply_adds(layer) for layer in layers)
    found = []
    for layer in layers:
        share = multiply_adds(layer) / total / layer.weights[0, 0].size  # of a place of the window
        for place in tiles(layer, nonzero[layer.input], rows):
            count = min(len(place), max(1, round(SAMPLES * share)))
            found.append(place[np.linspace(0, len(place) - 1, count).astype(int)])
    return np.concatenate(found)
