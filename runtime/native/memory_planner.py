"""Memory planner: a network's tensors, tiles and packed weights as steps and buffers of the kernel."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from runtime.native.bounds import check, check_workspace
from runtime.native.library import LARGEST, Layout, Step
from runtime.native.onnx_importer import Convolution, Network, Pooling, Quantisation, Residual, UnknownGraphError
from runtime.native.steps import (
    BUILD_NONZERO_LIST,
    CLASS_SCORES,
    CONVOLUTION,
    LIST_BUFFER,
    LIST_STEPS,
    MAX_POOLING,
    MAX_STEPS,
    SPACE_TO_DEPTH,
    NonzeroLists,
    Plan,
)
from runtime.native.weight_packing import (
    CACHE_LINE,
    GROUP,
    LANES,
    NONE,
    QUAD,
    RUN,
    Tensor,
    choose_tiling,
    full_list,
    int32,
    pack,
    padded,
    tile_offsets,
    tiles_in_lines,
)

MIN_SPARSE_OUTPUTS = 128  # of a layer, from which on building its list of nonzero steps is worth its time

BLOCK_CHANNELS = 12
BLOCK_BORDER = 2  # of the stem's input, before the picture: what its kernel of 4 x 4 needs
BORDER = 1
ROOM = 2**24  # bytes, taken at once: NumPy asks for huge pages then, and what is not written to costs nothing


def lay_out(network: Network, layout: Layout) -> Plan:
    """Plan `network` in the layout of an instruction set.

    Raises UnknownGraphError where the kernel cannot compute it, or would leave its memory (`bounds`).
    """
    planner = _Planner(network, layout)
    try:
        plan = planner.plan()
    except OverflowError as error:
        raise UnknownGraphError(f"{planner.layer} is too large for the native kernel: {error}") from error
    check(plan)
    return plan


class _Planner:
    def __init__(self, network: Network, layout: Layout) -> None:
        self.layer = "its input"  # that is being laid out
        self._network = network
        self._layout: Layout = layout
        self._steps: list[Step] = []
        self._buffers: list[Tensor | NonzeroLists] = [NonzeroLists(0)]
        self._tensors: dict[str, Tensor] = {}
        self._free: list[int] = []
        self._allocated: dict[str, int] = {}  # tensor: its buffer
        self._channels: dict[str, int] = {}  # tensor: its channels, without those that only fill
        self._arrays: dict[int, NDArray[np.generic]] = {}
        self._room = aligned(0)  # for more of them
        self._last_use = {name: i for i, layer in enumerate(network.layers) for name in _inputs(layer)}

    def plan(self) -> Plan:
        network = self._network
        first = network.layers[0]
        if not isinstance(first, Convolution):
            raise TypeError("a network begins with a convolution")
        self._space_to_depth(first)
        for i, layer in enumerate(network.layers):
            self.layer = layer.output
            if isinstance(layer, Convolution):
                self._convolve(layer)
            else:
                self._pool(layer)
            for name in {name for name in _inputs(layer) if self._last_use[name] == i and name != network.features}:
                self._free.append(self._allocated.pop(name))
        self.layer = "its classifier"
        self._class_scores()
        if len(self._steps) > MAX_STEPS:
            raise UnknownGraphError(f"it has {len(self._steps)} layers")
        return Plan(
            layout=self._layout,
            steps=(Step * len(self._steps))(*self._steps),
            buffers=self._buffers,
            image_size=network.image_size,
            map_size=self._tensors[network.features].size,
            bias=network.bias,
            temperature=network.temperature,
            arrays=self._arrays,
        )

    def _allocate(self, name: str, tensor: Tensor, channels: int) -> int:
        """A buffer for a tensor: one that is not needed any more, else a new one.

        Raises UnknownGraphError where all of them are too large, before the layer's arrays are made.
        """
        self._channels[name] = channels
        self._tensors[name] = tensor
        for i in self._free:
            if self._buffers[i] == tensor:
                self._free.remove(i)
                break
        else:
            i = len(self._buffers)
            self._buffers.append(tensor)
            check_workspace(self._buffers, self._network.image_size, self.layer)
        self._allocated[name] = i
        return i

    def _space_to_depth(self, stem: Convolution) -> None:
        half, size = self._network.image_size // 2, self._network.image_size
        tensor = Tensor(half, BLOCK_CHANNELS, BLOCK_BORDER, stem.input_quantisation.zero_point)
        output, lines = self._allocate(stem.input, tensor, BLOCK_CHANNELS), np.arange(half)
        self._steps.append(
            Step(
                kind=SPACE_TO_DEPTH,
                output=output,
                tiles=half,
                rows=half,
                row_stride=3 * size,
                input_offsets=self._store_array(int32(2 * 3 * size * lines, "pixels")),
                output_offsets=self._store_array(int32(tensor.place(lines, np.zeros_like(lines)), "blocks")),
            )
        )

    def _convolve(self, layer: Convolution) -> None:
        source, tensor = self._allocated[layer.input], self._tensors[layer.input]
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
        residual = self._allocated[layer.residual.name] if layer.residual else NONE
        if layer.residual and (
            self._tensors[layer.residual.name][:3] != made[:3] or self._channels[layer.residual.name] != outputs
        ):
            raise UnknownGraphError(f"{layer.output} adds tensors of two sizes")
        target = self._allocate(layer.output, made, outputs)
        packed = pack(layer.weights, tensor, self._layout)
        tiling = choose_tiling(layer.size, layer.stride, tensor.pitch, self._layout)
        tiles = tile_offsets(tiling, layer.stride, tensor, -layer.padding, made, RUN[self._layout])
        step = Step(
            kind=CONVOLUTION,
            input=source,
            output=target,
            residual=residual,
            channels=tensor.channels,
            outputs=made.channels,
            k_steps=len(packed.offsets),
            row_stride=layer.stride * tensor.channels,
            tiles=len(tiles.output_offsets),
            rows=tiles.output_offsets.shape[1],
            group_bytes=packed.weights[0].size,
            nonzero_list=NONE,
            zero_point=layer.quantisation.zero_point,
            k_offsets=self._store_array(packed.offsets),
            full_list=self._store_array(full_list(len(packed.offsets))),
            input_offsets=self._store_array(tiles.input_offsets),
            output_offsets=self._store_array(tiles.output_offsets),
            weights=self._store_array(packed.weights),
            bias=self._store_array(_pad_channels(made.channels, _bias(layer))),
            scale=self._store_array(_pad_channels(made.channels, _scale(layer))),
        )
        if layer.residual:
            self._add(step, layer.residual, layer.quantisation)
        if self._layout == "vnni" and _worth_skipping_zeros(layer, tensor, len(packed.offsets)):
            self._build_nonzero_list(step, packed.offsets)
        self._steps.append(step)

    def _build_nonzero_list(self, step: Step, offsets: NDArray[np.int32]) -> None:
        """Activation sparsity: before a convolution, list the steps in which some byte of a tile is not 0."""
        # Entries are written 16 at once.
        step.list_capacity = -(-(1 + len(offsets) + LIST_STEPS) // LANES) * LANES
        step.nonzero_list = LIST_BUFFER
        size = step.tiles * step.list_capacity * ctypes.sizeof(ctypes.c_int32)
        self._buffers[LIST_BUFFER] = max(self._buffers[LIST_BUFFER], NonzeroLists(size))
        check_workspace(self._buffers, self._network.image_size, self.layer)
        self._steps.append(
            Step(
                kind=BUILD_NONZERO_LIST,
                input=step.input,
                output=LIST_BUFFER,
                k_steps=len(offsets) // LIST_STEPS,
                row_stride=step.row_stride,
                tiles=step.tiles,
                rows=step.rows,
                list_capacity=step.list_capacity,
                k_offsets=self._store_array(offsets[::LIST_STEPS]),
                input_offsets=step.input_offsets,
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
        source, tensor = self._allocated[layer.input], self._tensors[layer.input]
        if layer.size != (tensor.size - 1) // 2 + 1 or tensor.channels % GROUP or tensor.fill:
            raise UnknownGraphError(f"{layer.output} is a pooling of another shape")
        made = Tensor(layer.size, tensor.channels, BORDER, 0)
        tiles = tile_offsets(tiles_in_lines(layer.size, layer.size), 2, tensor, -1, made, layer.size)
        offsets = [(y * tensor.pitch + x) * tensor.channels for y in range(3) for x in range(3)]
        self._steps.append(
            Step(
                kind=MAX_POOLING,
                input=source,
                output=self._allocate(layer.output, made, self._channels[layer.input]),
                channels=tensor.channels,
                k_steps=len(offsets),
                row_stride=2 * tensor.channels,
                tiles=len(tiles.output_offsets),
                rows=tiles.output_offsets.shape[1],
                k_offsets=self._store_array(int32(np.array(offsets, np.int64), "steps")),
                input_offsets=self._store_array(tiles.input_offsets),
                output_offsets=self._store_array(tiles.output_offsets),
            )
        )

    def _class_scores(self) -> None:
        network = self._network
        source, tensor = self._allocated[network.features], self._tensors[network.features]
        y, x = np.divmod(np.arange(tensor.size**2), tensor.size)
        classes, channels = network.weights.shape
        if channels != self._channels[network.features] or tensor.channels % GROUP:
            raise UnknownGraphError("its classifier is of another shape")
        if classes * tensor.size**2 > LARGEST:
            raise OverflowError(f"it has {classes} classes at {tensor.size**2} places")
        weights = np.zeros((classes, tensor.channels), np.float32)
        weights[:, :channels] = network.weights * network.features_scale
        self._steps.append(
            Step(
                kind=CLASS_SCORES,
                input=source,
                channels=tensor.channels,
                outputs=classes,
                tiles=tensor.size**2,
                scores_per_photo=classes * tensor.size**2,
                input_offsets=self._store_array(int32(tensor.place(y, x), "inputs")),
                scale=self._store_array(weights),
            )
        )

    def _store_array(self, array: NDArray[np.generic]) -> int:
        """The address of a copy of `array` that begins with a cache line of its own and lives as long as the plan."""
        size = max(1, -(-array.nbytes // CACHE_LINE)) * CACHE_LINE
        if size > len(self._room):
            self._room = aligned(max(size, ROOM))
        copy = self._room[: array.nbytes].view(array.dtype)
        copy[:] = array.ravel()
        self._room = self._room[size:]
        address = copy.ctypes.data
        self._arrays[address] = copy
        return address


def aligned(size: int) -> NDArray[np.uint8]:
    """Memory of `size` bytes that begins with a cache line; what is in it is not said."""
    memory = np.empty(size + CACHE_LINE, np.uint8)
    return memory[-memory.ctypes.data % CACHE_LINE :][:size]


def _inputs(layer: Convolution | Pooling) -> Iterator[str]:
    yield layer.input
    if isinstance(layer, Convolution) and layer.residual:
        yield layer.residual.name


def _worth_skipping_zeros(layer: Convolution, tensor: Tensor, steps: int) -> bool:
    """Whether there are zeros to find, and outputs enough that finding them costs a hundredth of the products.

    Steps are looked at by 16, which lie in one piece where no step is left out of the weights.
    """
    outputs, _, kernel, _ = layer.weights.shape
    in_one_piece = steps * QUAD == kernel**2 * tensor.channels and tensor.channels % (LIST_STEPS * QUAD) == 0
    return in_one_piece and outputs >= MIN_SPARSE_OUTPUTS and kernel > 1 and layer.input_quantisation.zero_point == 0


def _bias(layer: Convolution) -> NDArray[np.int32]:
    """With what the input's zero point adds to every sum."""
    zero = layer.weights.sum((1, 2, 3), dtype=np.int64) * layer.input_quantisation.zero_point
    return int32(layer.bias - zero, "biases")


def _scale(layer: Convolution) -> NDArray[np.float32]:
    """From sums to bytes, before a residual is added; in onnxruntime's order of operations."""
    result = layer.residual.own if layer.residual else layer.quantisation
    scale: NDArray[np.float32] = (layer.input_quantisation.scale * layer.scales) / result.scale
    return scale


def _pad_channels(channels: int, values: NDArray[np.generic]) -> NDArray[np.generic]:
    return np.concatenate([values, np.zeros(channels - len(values), values.dtype)])
