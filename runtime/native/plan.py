"""Where everything lies: a network's tensors, tiles and packed weights, as kernel.c wants them."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.native.layout import (
    CACHE_LINE,
    GROUP,
    LANES,
    NONE,
    QUAD,
    RUN,
    Tensor,
    by_lines,
    cut_of,
    every_step,
    pack,
    padded,
    tiles_of,
)
from runtime.native.library import Instructions, Step
from runtime.native.network import Convolution, Network, Pooling, Quantisation, Residual, UnknownGraphError

# As in kernel.c.
MOST_STEPS = 128
BLOCKS, CONVOLUTION, POOLING, EVIDENCE, LISTING = range(5)

LISTED_OUTPUTS = 128  # of a layer, from which on a list of what is not 0 is worth its time
LISTED = 16  # steps that are looked at in one go
LISTS = 0  # the buffer of the lists

BLOCK_CHANNELS = 12
BLOCK_BORDER = 2  # of the stem's input, before the picture: what its kernel of 4 x 4 needs
BORDER = 1
ROOM = 2**24  # bytes, taken at once: NumPy asks for huge pages then, and what is not written to costs nothing


class Lists(NamedTuple):
    """Room for the lists of one layer's tiles at a time: of each how many steps it takes, and they."""

    bytes: int
    fill: int = 0


@dataclass(frozen=True)
class Plan:
    """A network laid out for one set of instructions. The arrays behind the steps' pointers are in `arrays`.

    `buffers` are shared: one holds several tensors of the same layout, one after the other.
    """

    instructions: Instructions
    steps: ctypes.Array[Step]
    buffers: list[Tensor | Lists]
    image_size: int
    map_size: int
    bias: NDArray[np.float32]
    temperature: np.float32
    arrays: list[NDArray[np.generic]]


def lay_out(network: Network, instructions: Instructions) -> Plan:
    """Plan `network` for the instructions. Raises UnknownGraphError where the kernel cannot compute it."""
    return _Planner(network, instructions).plan()


class _Planner:
    def __init__(self, network: Network, instructions: Instructions) -> None:
        self._network = network
        self._instructions: Instructions = instructions
        self._steps: list[Step] = []
        self._buffers: list[Tensor | Lists] = [Lists(0)]
        self._tensors: dict[str, Tensor] = {}
        self._free: list[int] = []
        self._held: dict[str, int] = {}  # tensor: its buffer
        self._channels: dict[str, int] = {}  # tensor: its channels, without those that only fill
        self._arrays: list[NDArray[np.generic]] = []
        self._room = aligned(0)  # for more of them
        self._last_use = {name: i for i, layer in enumerate(network.layers) for name in _inputs(layer)}

    def plan(self) -> Plan:
        network = self._network
        first = network.layers[0]
        if not isinstance(first, Convolution):
            raise TypeError("a network begins with a convolution")
        self._read_pixels(first)
        for i, layer in enumerate(network.layers):
            if isinstance(layer, Convolution):
                self._convolve(layer)
            else:
                self._pool(layer)
            for name in {name for name in _inputs(layer) if self._last_use[name] == i and name != network.features}:
                self._free.append(self._held.pop(name))
        self._weigh()
        if len(self._steps) > MOST_STEPS:
            raise UnknownGraphError(f"it has {len(self._steps)} layers")
        return Plan(
            instructions=self._instructions,
            steps=(Step * len(self._steps))(*self._steps),
            buffers=self._buffers,
            image_size=network.image_size,
            map_size=self._tensors[network.features].size,
            bias=network.bias,
            temperature=network.temperature,
            arrays=self._arrays,
        )

    def _hold(self, name: str, tensor: Tensor, channels: int) -> int:
        """A buffer for a tensor: one that is not needed any more, else a new one."""
        self._channels[name] = channels
        self._tensors[name] = tensor
        for i in self._free:
            if self._buffers[i] == tensor:
                self._free.remove(i)
                break
        else:
            i = len(self._buffers)
            self._buffers.append(tensor)
        self._held[name] = i
        return i

    def _read_pixels(self, stem: Convolution) -> None:
        half, size = self._network.image_size // 2, self._network.image_size
        tensor = Tensor(half, BLOCK_CHANNELS, BLOCK_BORDER, stem.input_quantisation.zero_point)
        self._steps.append(
            Step(
                kind=BLOCKS,
                output=self._hold(stem.input, tensor, BLOCK_CHANNELS),
                tiles=half,
                rows=half,
                distance=3 * size,
                from_=self._keep(np.array([2 * 3 * size * y for y in range(half)], np.int32)),
                to=self._keep(np.array([tensor.place(y, 0) for y in range(half)], np.int32)),
            )
        )

    def _convolve(self, layer: Convolution) -> None:
        source, tensor = self._held[layer.input], self._tensors[layer.input]
        outputs, channels, kernel, _ = layer.weights.shape
        behind = (layer.size - 1) * layer.stride + kernel - layer.padding - tensor.size
        if (
            channels != self._channels[layer.input]
            or max(layer.padding, behind) > tensor.border
            or layer.padding < 0
            or layer.size > tensor.pitch
        ):
            raise UnknownGraphError(f"{layer.output} is a convolution of another shape")
        made = Tensor(layer.size, padded(outputs), BORDER, layer.quantisation.zero_point)
        residual = self._held[layer.residual.name] if layer.residual else NONE
        if layer.residual and (
            self._tensors[layer.residual.name][:3] != made[:3] or self._channels[layer.residual.name] != outputs
        ):
            raise UnknownGraphError(f"{layer.output} adds tensors of two sizes")
        target = self._hold(layer.output, made, outputs)
        packed = pack(layer.weights, tensor, self._instructions)
        cut = cut_of(layer.size, layer.stride, tensor.pitch, self._instructions)
        tiles = tiles_of(cut, layer.stride, tensor, -layer.padding, made, RUN[self._instructions])
        step = Step(
            kind=CONVOLUTION,
            input=source,
            output=target,
            residual=residual,
            channels=tensor.channels,
            outputs=made.channels,
            steps=len(packed.offsets),
            distance=layer.stride * tensor.channels,
            tiles=len(tiles.to),
            rows=tiles.to.shape[1],
            group_bytes=packed.weights[0].size,
            list=NONE,
            zero_point=layer.quantisation.zero_point,
            offsets=self._keep(packed.offsets),
            every=self._keep(every_step(len(packed.offsets))),
            from_=self._keep(tiles.from_),
            to=self._keep(tiles.to),
            weights=self._keep(packed.weights),
            bias=self._keep(_at_least(made.channels, _bias(layer))),
            scale=self._keep(_at_least(made.channels, _scale(layer))),
        )
        if layer.residual:
            self._add(step, layer.residual, layer.quantisation)
        if self._instructions == "vnni" and _worth_a_list(layer, tensor, len(packed.offsets)):
            self._list_steps(step, packed.offsets)
        self._steps.append(step)

    def _list_steps(self, step: Step, offsets: NDArray[np.int32]) -> None:
        """Before a convolution, find out which of its steps each tile needs."""
        step.list_room = -(-(1 + len(offsets) + LISTED) // LANES) * LANES  # the last that is written is 16 at once
        step.list = LISTS
        size = step.tiles * step.list_room * ctypes.sizeof(ctypes.c_int32)
        self._buffers[LISTS] = max(self._buffers[LISTS], Lists(size))
        self._steps.append(
            Step(
                kind=LISTING,
                input=step.input,
                output=LISTS,
                steps=len(offsets) // LISTED,
                distance=step.distance,
                tiles=step.tiles,
                rows=step.rows,
                list_room=step.list_room,
                offsets=self._keep(offsets[::LISTED]),
                from_=step.from_,
            )
        )

    @staticmethod
    def _add(step: Step, residual: Residual, total: Quantisation) -> None:
        """(own - zero) * scale + (residual - zero) * scale, in units of the sum's scale.

        Rounded where onnxruntime's MLAS rounds (qladd.cpp), so that no byte differs.
        """
        own, other = residual.own, residual.quantisation
        scale_own, scale_residual = own.scale / total.scale, other.scale / total.scale
        fused = float(own.zero_point) * float(scale_own) + float(np.float32(other.zero_point) * scale_residual)
        step.zero_point = own.zero_point
        step.scale_own, step.scale_residual = scale_own, scale_residual
        step.shift = np.float32(total.zero_point) - np.float32(fused)

    def _pool(self, layer: Pooling) -> None:
        source, tensor = self._held[layer.input], self._tensors[layer.input]
        if layer.size != (tensor.size - 1) // 2 + 1 or tensor.channels % GROUP or tensor.fill:
            raise UnknownGraphError(f"{layer.output} is a pooling of another shape")
        made = Tensor(layer.size, tensor.channels, BORDER, 0)
        tiles = tiles_of(by_lines(layer.size, layer.size), 2, tensor, -1, made, layer.size)
        offsets = [(y * tensor.pitch + x) * tensor.channels for y in range(3) for x in range(3)]
        self._steps.append(
            Step(
                kind=POOLING,
                input=source,
                output=self._hold(layer.output, made, self._channels[layer.input]),
                channels=tensor.channels,
                steps=len(offsets),
                distance=2 * tensor.channels,
                tiles=len(tiles.to),
                rows=tiles.to.shape[1],
                offsets=self._keep(np.array(offsets, np.int32)),
                from_=self._keep(tiles.from_),
                to=self._keep(tiles.to),
            )
        )

    def _weigh(self) -> None:
        network = self._network
        source, tensor = self._held[network.features], self._tensors[network.features]
        sides = range(tensor.size)
        classes, channels = network.weights.shape
        if channels != self._channels[network.features] or tensor.channels % GROUP:
            raise UnknownGraphError("its classifier is of another shape")
        weights = np.zeros((classes, tensor.channels), np.float32)
        weights[:, :channels] = network.weights * network.features_scale
        self._steps.append(
            Step(
                kind=EVIDENCE,
                input=source,
                channels=tensor.channels,
                outputs=classes,
                tiles=tensor.size**2,
                photo_floats=classes * tensor.size**2,
                from_=self._keep(np.array([tensor.place(y, x) for y in sides for x in sides], np.int32)),
                scale=self._keep(weights),
            )
        )

    def _keep(self, array: NDArray[np.generic]) -> int:
        """The address of a copy of `array` that begins with a cache line and lives as long as the plan."""
        size = -(-array.nbytes // CACHE_LINE) * CACHE_LINE
        if size > len(self._room):
            self._room = aligned(max(size, ROOM))
        copy = self._room[: array.nbytes].view(array.dtype)
        copy[:] = array.ravel()
        self._room = self._room[size:]
        self._arrays.append(copy)
        return copy.ctypes.data


def aligned(size: int) -> NDArray[np.uint8]:
    """Memory of `size` bytes that begins with a cache line; what is in it is not said."""
    memory = np.empty(size + CACHE_LINE, np.uint8)
    return memory[-memory.ctypes.data % CACHE_LINE :][:size]


def _inputs(layer: Convolution | Pooling) -> Iterator[str]:
    yield layer.input
    if isinstance(layer, Convolution) and layer.residual:
        yield layer.residual.name


def _worth_a_list(layer: Convolution, tensor: Tensor, steps: int) -> bool:
    """Whether there are zeros to find, and outputs enough that finding them costs a hundredth of the products.

    Steps are looked at by 16, which lie in one piece where no step is left out of the weights.
    """
    outputs, _, kernel, _ = layer.weights.shape
    in_one_piece = steps * QUAD == kernel**2 * tensor.channels and tensor.channels % (LISTED * QUAD) == 0
    return in_one_piece and outputs >= LISTED_OUTPUTS and kernel > 1 and layer.input_quantisation.zero_point == 0


def _bias(layer: Convolution) -> NDArray[np.int32]:
    """With what the input's zero point adds to every sum."""
    zero = layer.weights.astype(np.int64).sum((1, 2, 3)) * layer.input_quantisation.zero_point
    bias: NDArray[np.int32] = (layer.bias - zero).astype(np.int32)
    return bias


def _scale(layer: Convolution) -> NDArray[np.float32]:
    """From sums to bytes, before a residual is added; in onnxruntime's order of operations."""
    result = layer.residual.own if layer.residual else layer.quantisation
    scale: NDArray[np.float32] = (layer.input_quantisation.scale * layer.scales) / result.scale
    return scale


def _at_least(channels: int, values: NDArray[np.generic]) -> NDArray[np.generic]:
    return np.concatenate([values, np.zeros(channels - len(values), values.dtype)])
