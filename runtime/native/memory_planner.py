"""Memory planner: a network's tensors, tiles and packed weights as steps and buffers of the kernel."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from runtime.native.bounds import check, check_workspace
from runtime.native.layout import GROUP, LAYOUTS, Instructions, Layout, layout_of
from runtime.native.library import LARGEST, Step
from runtime.native.onnx_importer import Convolution, Network, Pooling, Quantisation, Residual, UnknownGraphError
from runtime.native.steps import (
    BUILD_NONZERO_LIST,
    CLASS_SCORES,
    CONVOLUTION,
    LIST_BUFFER,
    LIST_ROOM,
    MAX_POOLING,
    MAX_STEPS,
    SPACE_TO_DEPTH,
    WIDE_BUFFER,
    WIDEN,
    WIDEN_PIECE,
    WINOGRAD,
    WINOGRAD_INPUT,
    Plan,
    Scratch,
)
from runtime.native.weight_packing import (
    CACHE_LINE,
    NONE,
    Tensor,
    choose_tiling,
    full_list,
    int32,
    pack,
    padded,
    tile_offsets,
    tiles_in_lines,
)
from runtime.native.winograd import Transform, channels_of, choose_transform, patch_offsets, tiles_of, transform_weights

BLOCK_CHANNELS = 12
BLOCK_BORDER = 2  # of the stem's input, before the picture: what its kernel of 4 x 4 needs
BORDER = 1
ROOM = 2**24  # bytes, taken at once: NumPy asks for huge pages then, and what is not written to costs nothing


def lay_out(network: Network, instructions: Instructions) -> Plan:
    """Plan `network` in the layout of an instruction set.

    Raises UnknownGraphError where the kernel cannot compute it, or would leave its memory (`bounds`).
    """
    planner = _Planner(network, instructions)
    try:
        plan = planner.plan()
    except OverflowError as error:
        raise UnknownGraphError(f"{planner.layer} is too large for the native kernel: {error}") from error
    check(plan)
    return plan


class _Planner:
    def __init__(self, network: Network, instructions: Instructions) -> None:
        self.layer = "its input"  # that is being laid out
        self._network = network
        self._instructions = instructions
        self._steps: list[Step] = []
        self._buffers: list[Tensor | Scratch] = [Scratch(0), Scratch(0)]
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
            instructions=self._instructions,
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
        step = Step(
            input=source,
            output=target,
            residual=residual,
            channels=tensor.channels,
            outputs=made.channels,
            nonzero_list=NONE,
            zero_point=layer.quantisation.zero_point,
            bias=self._store_array(_pad_channels(made.channels, _bias(layer))),
            scale=self._store_array(_pad_channels(made.channels, _scale(layer))),
        )
        if layer.residual:
            self._add(step, layer.residual, layer.quantisation)
        transform = choose_transform(layer, tensor, layout_of(self._instructions, tensor.channels))
        if transform:
            self._by_winograd(step, layer, tensor, made, transform)
        else:
            self._directly(step, layer, tensor, made)
        self._steps.append(step)

    def _directly(self, step: Step, layer: Convolution, tensor: Tensor, made: Tensor) -> None:
        layout = layout_of(self._instructions, tensor.channels)
        packed = pack(layer.weights, tensor, layout)
        tiling = choose_tiling(layer.size, layer.stride, tensor.pitch, layout)
        tiles = tile_offsets(tiling, layer.stride, tensor, -layer.padding, made, layout.run)
        step.kind = CONVOLUTION
        step.k_steps = len(packed.offsets) - 1
        step.row_stride = layer.stride * tensor.channels
        step.tiles, step.rows = tiles.output_offsets.shape
        step.run, step.products, step.unit = layout.run, layout.products, layout.unit
        step.weight_bytes, step.activation_bytes = packed.weights.itemsize, 1
        step.weight_zero, step.lanes = layout.weight_zero, layout.lanes
        step.group_bytes = packed.weights[0].nbytes
        step.k_offsets = self._store_array(packed.offsets)
        step.full_list = self._store_array(full_list(step.k_steps))
        step.input_offsets = self._store_array(tiles.input_offsets)
        step.output_offsets = self._store_array(tiles.output_offsets)
        step.weights = self._store_array(packed.weights)
        chunk = self._chunk_of_list(layer, tensor, layout, step.k_steps)
        if chunk:
            self._build_nonzero_list(step, packed.offsets[:-1], layout, chunk)
        if layout.wide:
            self._widen(step, tensor, tiles.input_offsets, packed.offsets)

    def _by_winograd(self, step: Step, layer: Convolution, tensor: Tensor, made: Tensor, transform: Transform) -> None:
        tiles = tiles_of(tensor, layer.padding, made, transform)
        layout = LAYOUTS[self._instructions]
        unit = layout.winograd_unit
        weights = transform_weights(layer.weights, tensor, transform, unit)
        step.channels = channels_of(tensor, layout)
        self._scratch(WIDE_BUFFER, 2 * len(tiles.output_offsets) * transform.patch**2 * step.channels)
        self._steps.append(
            Step(
                kind=WINOGRAD_INPUT,
                input=step.input,
                output=WIDE_BUFFER,
                channels=step.channels,
                row_stride=tensor.channels,
                tiles=len(tiles.output_offsets),
                rows=transform.patch,
                side=transform.side,
                k_offsets=self._store_array(patch_offsets(tensor, transform)),
                input_offsets=self._store_array(tiles.input_offsets),
            )
        )
        step.kind, step.input, step.side = WINOGRAD, WIDE_BUFFER, transform.side
        step.tiles, step.rows = tiles.output_offsets.shape
        step.k_steps, step.unit = tensor.channels // unit, unit
        step.lanes, step.group_bytes = GROUP, weights[0].nbytes
        step.output_offsets = self._store_array(tiles.output_offsets)
        step.weights = self._store_array(weights)

    def _chunk_of_list(self, layer: Convolution, tensor: Tensor, layout: Layout, steps: int) -> int:
        """How many steps of the reduction are looked at together for a list of the nonzero ones; 0 where none is made.

        There is one if there are zeros to find, and outputs enough that finding them costs little of the products; or
        if the kernel takes more from it. Steps are looked at together where they lie in one piece.
        """
        outputs, _, kernel, _ = layer.weights.shape
        together = layout.chunk // layout.products
        in_one_piece = steps * layout.products == kernel**2 * tensor.channels and tensor.channels % layout.chunk == 0
        worth = 0 < layout.sparse_outputs <= outputs and kernel > 1 and layer.input_quantisation.zero_point == 0
        if in_one_piece and (worth or layout.needs_lists):
            return together
        return 1 if layout.needs_lists else 0

    def _build_nonzero_list(self, step: Step, offsets: NDArray[np.int32], layout: Layout, chunk: int) -> None:
        """Activation sparsity: before a convolution, list the steps in which some byte of a tile is not 0."""
        # Entries are written up to 16 at once; sums of the activations are behind them.
        step.list_capacity = -(-(1 + len(offsets) + LIST_ROOM) // LIST_ROOM) * LIST_ROOM
        if layout.gathers:
            step.gathered = step.list_capacity
            step.list_capacity += len(offsets) * layout.rows * layout.products // 4
        step.nonzero_list = LIST_BUFFER
        self._scratch(LIST_BUFFER, step.tiles * step.list_capacity * ctypes.sizeof(ctypes.c_int32))
        self._steps.append(
            Step(
                kind=BUILD_NONZERO_LIST,
                input=step.input,
                output=LIST_BUFFER,
                k_steps=len(offsets) // chunk,
                row_stride=step.row_stride,
                tiles=step.tiles,
                rows=step.rows,
                run=step.run,
                products=step.products,
                weight_zero=step.weight_zero,
                list_capacity=step.list_capacity,
                gathered=step.gathered,
                chunk=chunk,
                k_offsets=self._store_array(offsets[::chunk]),
                input_offsets=step.input_offsets,
            )
        )

    def _widen(self, step: Step, tensor: Tensor, first: NDArray[np.int32], offsets: NDArray[np.int32]) -> None:
        """Before a convolution, make 16-bit integers of its input; all that it reads is twice as far, then."""
        self._scratch(WIDE_BUFFER, 2 * tensor.bytes)
        self._steps.append(
            Step(
                kind=WIDEN,
                input=step.input,
                output=WIDE_BUFFER,
                channels=tensor.bytes,
                tiles=-(-tensor.bytes // WIDEN_PIECE),
                rows=WIDEN_PIECE,
            )
        )
        step.input, step.activation_bytes = WIDE_BUFFER, 2
        step.row_stride *= 2
        step.input_offsets = self._store_array(2 * first)
        step.k_offsets = self._store_array(2 * offsets)

    def _scratch(self, number: int, size: int) -> None:
        """Make a buffer that each layer uses anew large enough for one more."""
        self._buffers[number] = max(self._buffers[number], Scratch(size))
        check_workspace(self._buffers, self._network.image_size, self.layer)

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
