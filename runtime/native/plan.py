"""Where everything lies: a network's tensors, tiles and packed weights, as kernel.c wants them."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.native.library import Instructions, Step
from runtime.native.network import Convolution, Network, Pooling, Quantisation, Residual, UnknownGraphError

# As in kernel.c.
LANES, DEPTH = 16, 64
ROWS = {"amx": 16, "vnni": 12}
MOST_STEPS = 64
BLOCKS, CONVOLUTION, POOLING, EVIDENCE = range(4)
NONE = -1

GROUP = 2 * LANES  # channels are padded to multiples of what a block computes at least
BLOCK_CHANNELS = 12
BLOCK_BORDER = 2  # of the stem's input, before the picture: what its kernel of 4 x 4 needs
BORDER = 1
CACHE_LINE = 64
ROOM = 2**24  # bytes, taken at once: NumPy asks for huge pages then, and what is not written to costs nothing


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

    def place(self, y: int, x: int) -> int:
        """The offset of a place of the picture, or of the border where y or x is -1 or `size`."""
        return ((self.border + y) * self.pitch + self.border + x) * self.channels


class Tiles(NamedTuple):
    """Rows of outputs: where each tile reads, [tiles], and each row writes, [tiles, rows], or NONE."""

    from_: NDArray[np.int32]
    to: NDArray[np.int32]


@dataclass(frozen=True)
class Plan:
    """A network laid out for one set of instructions. The arrays behind the steps' pointers are in `arrays`.

    `buffers` are shared: one holds several tensors of the same layout, one after the other.
    """

    instructions: Instructions
    steps: ctypes.Array[Step]
    buffers: list[Tensor]
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
        self._buffers: list[Tensor] = []
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
            map_size=self._buffers[self._held[network.features]].size,
            bias=network.bias,
            temperature=network.temperature,
            arrays=self._arrays,
        )

    def _hold(self, name: str, tensor: Tensor, channels: int) -> int:
        """A buffer for a tensor: one that is not needed any more, else a new one."""
        self._channels[name] = channels
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
        source = self._held[layer.input]
        tensor = self._buffers[source]
        outputs, channels, kernel, _ = layer.weights.shape
        behind = (layer.size - 1) * layer.stride + kernel - layer.padding - tensor.size
        if (
            channels != self._channels[layer.input]
            or max(layer.padding, behind) > tensor.border
            or layer.padding < 0
            or layer.size > tensor.pitch
        ):
            raise UnknownGraphError(f"{layer.output} is a convolution of another shape")
        made = Tensor(layer.size, _padded(outputs), BORDER, layer.quantisation.zero_point)
        residual = self._held[layer.residual.name] if layer.residual else NONE
        if layer.residual and (
            self._buffers[residual][:3] != made[:3] or self._channels[layer.residual.name] != outputs
        ):
            raise UnknownGraphError(f"{layer.output} adds tensors of two sizes")
        target = self._hold(layer.output, made, outputs)
        weights, offsets = _pack(layer.weights, tensor)
        tiles = _tiles(layer.size, layer.stride, tensor, -layer.padding, made, self._instructions)
        step = Step(
            kind=CONVOLUTION,
            input=source,
            output=target,
            residual=residual,
            channels=tensor.channels,
            outputs=made.channels,
            steps=len(offsets),
            distance=layer.stride * tensor.channels,
            tiles=len(tiles.from_),
            rows=tiles.to.shape[1],
            zero_point=layer.quantisation.zero_point,
            offsets=self._keep(offsets),
            from_=self._keep(tiles.from_),
            to=self._keep(tiles.to),
            weights=self._keep(weights),
            bias=self._keep(_at_least(made.channels, _bias(layer))),
            scale=self._keep(_at_least(made.channels, _scale(layer))),
        )
        if layer.residual:
            self._add(step, layer.residual, layer.quantisation)
        self._steps.append(step)

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
        source = self._held[layer.input]
        tensor = self._buffers[source]
        if layer.size != (tensor.size - 1) // 2 + 1 or tensor.channels % GROUP or tensor.fill:
            raise UnknownGraphError(f"{layer.output} is a pooling of another shape")
        made = Tensor(layer.size, tensor.channels, BORDER, 0)
        tiles = _tiles(layer.size, 2, tensor, -1, made, self._instructions)
        offsets = [(y * tensor.pitch + x) * tensor.channels for y in range(3) for x in range(3)]
        self._steps.append(
            Step(
                kind=POOLING,
                input=source,
                output=self._hold(layer.output, made, self._channels[layer.input]),
                channels=tensor.channels,
                steps=len(offsets),
                distance=2 * tensor.channels,
                tiles=len(tiles.from_),
                rows=tiles.to.shape[1],
                offsets=self._keep(np.array(offsets, np.int32)),
                from_=self._keep(tiles.from_),
                to=self._keep(tiles.to),
            )
        )

    def _weigh(self) -> None:
        network = self._network
        source = self._held[network.features]
        tensor = self._buffers[source]
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


def _pack(weights: NDArray[np.int8], tensor: Tensor) -> tuple[NDArray[np.int8], NDArray[np.int32]]:
    """Weights [O, C, k, k] as [O / 16, steps, 16, 16, 4], and each step's offset from the first place.

    Places that are neighbours in a line are neighbours in memory: a line of the kernel is one run of products.
    """
    outputs, channels, kernel, _ = weights.shape
    run = kernel * tensor.channels
    steps = -(-run // DEPTH)
    packed: NDArray[np.int8] = np.zeros((_padded(outputs), kernel, steps * DEPTH), np.int8)
    lines = np.zeros((outputs, kernel, kernel, tensor.channels), np.int8)
    lines[..., :channels] = weights.transpose(0, 2, 3, 1)
    packed[:outputs, :, :run] = lines.reshape(outputs, kernel, run)
    grouped = packed.reshape(-1, LANES, kernel * steps, DEPTH // 4, 4).transpose(0, 2, 3, 1, 4)
    offsets = [y * tensor.pitch * tensor.channels + step * DEPTH for y in range(kernel) for step in range(steps)]
    return grouped, np.array(offsets, np.int32)


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


def _tiles(size: int, stride: int, source: Tensor, start: int, target: Tensor, instructions: Instructions) -> Tiles:
    """How `size` x `size` outputs are cut into tiles; the first reads from place (start, start) of `source` on.

    With stride 1 a tile may run on into the next line, over places that nobody needs. The cut that computes least is
    taken; with AMX the one with the fewest tiles, each of which reads all weights.
    """
    most, pitch = ROWS[instructions], source.pitch
    cuts = [_by_lines(size, pitch, most)]
    if stride == 1:
        cuts.append(_running_on(size, pitch, most))
    cut = min(cuts, key=lambda cut: (len(cut) if instructions == "amx" else cut.size, cut.size))
    y, x = np.divmod(cut, pitch)
    first = [source.place(start + stride * line, start + stride * at) for line, at in zip(*_first(y, x), strict=True)]
    written = target.place(0, 0) + (y * target.pitch + x) * target.channels
    return Tiles(np.array(first, np.int32), np.where((x < size) & (y < size), written, NONE).astype(np.int32))


def _first(*coordinates: NDArray[np.int64]) -> list[list[int]]:
    """Of each tile's first row."""
    return [each[:, 0].tolist() for each in coordinates]


def _by_lines(size: int, pitch: int, most: int) -> NDArray[np.int64]:
    """Tiles [tiles, rows] that each stay in a line; a row is line * pitch + place."""
    in_line = -(-size // most)
    rows = -(-size // in_line)
    places = np.arange(in_line * rows).reshape(1, in_line, rows)
    return (np.arange(size).reshape(-1, 1, 1) * pitch + places).reshape(-1, rows)


def _running_on(size: int, pitch: int, most: int) -> NDArray[np.int64]:
    """Tiles [tiles, rows] one after the other, whatever lies between two lines included."""
    places = (size - 1) * pitch + size
    tiles = -(-places // most)
    rows = -(-places // tiles)
    return np.arange(tiles * rows).reshape(tiles, rows)


def _padded(channels: int) -> int:
    return -(-channels // GROUP) * GROUP


def _at_least(channels: int, values: NDArray[np.generic]) -> NDArray[np.generic]:
    return np.concatenate([values, np.zeros(channels - len(values), values.dtype)])
