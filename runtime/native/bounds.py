"""Bounds checker: prove that the kernel reads and writes only inside a plan's buffers and arrays, before it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Never, TypeVar

import numpy as np
from numpy.typing import NDArray

from runtime.native.layout import DENSE, GROUP, LAYOUTS
from runtime.native.library import LARGEST, Step
from runtime.native.onnx_importer import UnknownGraphError
from runtime.native.steps import (
    BUILD_NONZERO_LIST,
    CLASS_SCORES,
    CONVOLUTION,
    LIST_ROOM,
    MAX_POOLING,
    SPACE_TO_DEPTH,
    WIDEN,
    WIDEN_PIECE,
    WINOGRAD,
    WINOGRAD_INPUT,
    Plan,
    Scratch,
    max_batch_size_of,
)
from runtime.native.weight_packing import CACHE_LINE, Tensor, full_list
from runtime.native.winograd import TRANSFORMS, Transform

KINDS = {
    SPACE_TO_DEPTH: "space to depth",
    CONVOLUTION: "convolution",
    MAX_POOLING: "max pooling",
    CLASS_SCORES: "class scores",
    BUILD_NONZERO_LIST: "list of nonzero steps",
    WIDEN: "widening",
    WINOGRAD_INPUT: "transform of an input",
    WINOGRAD: "convolution by Winograd",
}
PREPARATIONS = (BUILD_NONZERO_LIST, WIDEN)  # of a convolution's input, right before it
# A counter of work goes on by a sixteenth and one for each thread when all is taken (`run_steps` in dispatch.c).
MAX_WORK = LARGEST // 2

Number = TypeVar("Number", bound=np.generic)


def check(plan: Plan) -> None:
    """Prove a plan against all that the kernel does with each kind of step.

    Raises UnknownGraphError naming the step, and what lies outside or is too large.
    """
    check_workspace(plan.buffers, plan.image_size, "its plan")
    for number in range(len(plan.steps)):
        _Bounds(plan, number).check()


def check_workspace(buffers: Sequence[Tensor | Scratch], image_size: int, layer: str) -> None:
    """Raises UnknownGraphError where the buffers of the photos computed at once are larger than LARGEST together.

    No offset in one of them is larger, then. `layer` is the one that asks for the last of them.
    """
    photos = max_batch_size_of(image_size)
    size = photos * sum(buffer.bytes for buffer in buffers)
    if size > LARGEST:
        raise UnknownGraphError(
            f"{layer} is too large for the native kernel: with it {photos} photos take {size} bytes, "
            f"and {LARGEST} are the most"
        )


class _Bounds:
    """One step of a plan; the names of its parts are those of `Step` in kernel/api.h."""

    def __init__(self, plan: Plan, number: int) -> None:
        self._plan = plan
        self._number = number
        self._step = plan.steps[number]
        fine, dense = LAYOUTS[plan.instructions], DENSE.get(plan.instructions)
        self._layout = dense if dense and self._step.products == dense.products else fine

    def check(self) -> None:
        checks = {
            SPACE_TO_DEPTH: self._space_to_depth,
            CONVOLUTION: self._convolution,
            MAX_POOLING: self._max_pooling,
            CLASS_SCORES: self._class_scores,
            BUILD_NONZERO_LIST: self._nonzero_list,
            WIDEN: self._widening,
            WINOGRAD_INPUT: self._winograd_input,
            WINOGRAD: self._winograd,
        }
        if self._step.kind not in checks:
            self._refuse("is of no kind that the kernel knows")
        self._work()
        checks[self._step.kind]()

    def _work(self) -> None:
        """Tiles of all photos and outputs, and rows of all tiles, are counted in the kernel's integers."""
        step = self._step
        groups = step.outputs // GROUP if step.kind in {CONVOLUTION, WINOGRAD} else 1
        if step.tiles < 1 or step.tiles * max(step.rows, groups * max_batch_size_of(self._plan.image_size)) > MAX_WORK:
            self._refuse(f"has {step.tiles} tiles, {step.outputs} outputs and {step.rows} rows")

    def _space_to_depth(self) -> None:
        step, size = self._step, self._plan.image_size
        first, to = (
            self._array("input_offsets", step.tiles, np.int32),
            self._array("output_offsets", step.tiles, np.int32),
        )
        self._rows(size)
        lowest = min(int(first.min()), step.row_stride)
        self._within("reads", lowest, int(first.max()) + step.row_stride + 6 * step.rows, 3 * size**2)
        self._within("writes", int(to.min()), int(to.max()) + 12 * step.rows, self._tensor("output").bytes)

    def _convolution(self) -> None:
        step, layout = self._step, self._layout
        self._rows(layout.rows)
        self._laid_out()
        source = self._tensor_at(self._source(), "input")
        self._reads(step.run, max(layout.reads, step.products), step.k_steps + 1, step.activation_bytes * source.bytes)
        self._writes(step.outputs)
        self._weights()
        self._requantizes()
        if step.nonzero_list >= 0:
            self._uses_list_made_before()

    def _requantizes(self) -> None:
        """Each output has its bias and scale, and what is added is a tensor like the output."""
        step = self._step
        self._array("bias", step.outputs, np.int32)
        self._array("scale", step.outputs, np.float32)
        if step.residual >= 0 and (
            self._tensor("residual")[:3] != self._tensor("output")[:3] or step.residual == step.output
        ):
            self._refuse("adds a tensor of another layout, or its own output")

    def _winograd_input(self) -> None:
        step, transform = self._step, self._transform()
        if step.rows != transform.patch:
            self._refuse(f"has patches of {step.rows} lines")
        self._reads(transform.patch, step.channels, transform.patch, self._tensor("input").bytes)

    def _winograd(self) -> None:
        """Its input is what the step before has transformed, for the same tiles; so much was written, and is read."""
        step, transform, before = self._step, self._transform(), self._plan.steps[max(0, self._number - 1)]
        same = ("channels", "tiles", "side")
        if (before.kind, before.output) != (WINOGRAD_INPUT, step.input) or any(
            getattr(before, field) != getattr(step, field) for field in same
        ):
            self._refuse("reads patches that the step before it does not transform")
        if step.rows != transform.side**2:
            self._refuse(f"has tiles of {step.rows} places")
        self._writes(step.outputs)
        multiplied = step.k_steps * step.unit
        if step.unit != self._layout.winograd_unit or multiplied % 4 or not 0 < multiplied <= step.channels:
            self._refuse(f"multiplies {step.k_steps} times {step.unit} of its {step.channels} channels")
        entries = transform.patch**2 * multiplied  # of the weights of one output
        if step.outputs % GROUP or (step.lanes, step.group_bytes) != (GROUP, 2 * GROUP * entries):
            self._refuse(f"has {step.group_bytes} bytes of weights for {step.lanes} of its {step.outputs} outputs")
        self._array("weights", step.outputs * entries, np.int16)
        self._requantizes()

    def _transform(self) -> Transform:
        """That of the tiles of this step, whose transformed input lies in a buffer of scratch."""
        step, layout = self._step, self._layout
        if (
            not layout.winograd
            or step.side not in TRANSFORMS
            or step.channels < 1
            or step.channels % layout.transformed
        ):
            self._refuse(f"has tiles of {step.side} x {step.side} outputs and {step.channels} channels")
        found = TRANSFORMS[step.side]
        field = "output" if step.kind == WINOGRAD_INPUT else "input"
        room = self._buffer_at(getattr(step, field), field)
        if not isinstance(room, Scratch):
            self._refuse(f"has a tensor as its {field}")
        if any(buffer.bytes % CACHE_LINE for buffer in self._plan.buffers):
            self._refuse("has buffers that do not begin with a cache line")  # it is read in whole vectors
        self._within("transforms", 0, 2 * step.tiles * found.patch**2 * step.channels, room.bytes)
        return found

    def _max_pooling(self) -> None:
        step = self._step
        if step.channels % GROUP or step.k_steps < 1:
            self._refuse(f"has {step.channels} channels and {step.k_steps} places")
        self._rows(self._plan.image_size)
        self._reads(step.rows, step.channels, step.k_steps, self._tensor("input").bytes)
        self._writes(step.channels)

    def _class_scores(self) -> None:
        step, plan = self._step, self._plan
        first = self._array("input_offsets", step.tiles, np.int32)
        self._within("reads", int(first.min()), int(first.max()) + step.channels, self._tensor("input").bytes)
        self._array("scale", step.outputs * step.channels, np.float32)
        floats = len(plan.bias) * plan.map_size**2  # of a photo, in the result
        if step.channels % GROUP or not step.outputs * step.tiles == step.scores_per_photo == floats:
            self._refuse(f"has {step.channels} channels and writes {step.scores_per_photo} of {floats} values")

    def _nonzero_list(self) -> None:
        step = self._step
        self._rows(self._layout.rows)
        together = self._layout.chunk // self._layout.products
        # Alone, a step would be read with its neighbours; but not where its activations are gathered.
        if step.chunk not in ({1, together} if self._layout.gathers else {together}):
            self._refuse(f"looks at {step.chunk} steps together")
        self._reads(
            step.run, max(step.chunk * step.products, self._layout.reads), step.k_steps, self._tensor("input").bytes
        )
        steps, layout = step.chunk * step.k_steps, self._layout
        gathered = steps * layout.rows * layout.products // 4 if layout.gathers else 0
        # Each write is of up to 16 integers, however few count; the sums of the activations are the last ones.
        room = step.gathered if layout.gathers else step.list_capacity
        if 1 + steps + LIST_ROOM > room or room + gathered > step.list_capacity:
            self._refuse(f"lists {steps} steps in room for {step.list_capacity}")
        self._within("writes", 0, 4 * step.tiles * step.list_capacity, self._buffer_at(step.output, "output").bytes)

    def _widening(self) -> None:
        step, tensor = self._step, self._tensor("input")
        if (step.channels, step.rows, step.tiles) != (tensor.bytes, WIDEN_PIECE, -(-tensor.bytes // WIDEN_PIECE)):
            self._refuse(f"widens {step.tiles} pieces of {step.rows} of {step.channels} of {tensor.bytes} bytes")
        self._within("writes", 0, 2 * tensor.bytes, self._buffer_at(step.output, "output").bytes)

    def _uses_list_made_before(self) -> None:
        """The list is what a step before has made, for the same tiles and of the steps that there are."""
        step, before = self._step, self._preparation(BUILD_NONZERO_LIST)
        same = ("tiles", "rows", "run", "products", "weight_zero", "gathered", "list_capacity")
        if (
            before is None
            or (before.output, before.chunk * before.k_steps) != (step.nonzero_list, step.k_steps)
            or any(getattr(before, field) != getattr(step, field) for field in same)
        ):
            self._refuse("reads a list that no step before it makes")
        ours, theirs = (self._array("input_offsets", step.tiles * step.rows, np.int32, each) for each in (step, before))
        if self._source() != before.input or not np.array_equal(ours, step.activation_bytes * theirs):
            self._refuse("reads a list of other tiles")

    def _source(self) -> int:
        """The buffer with the tensor that a convolution reads, as bytes or widened before."""
        step, widening = self._step, self._preparation(WIDEN) if self._layout.wide else None
        widened = widening is not None and widening.output == step.input
        if widened != self._layout.wide or step.activation_bytes != 1 + widened:
            self._refuse(f"reads activations of {step.activation_bytes} bytes")
        return int(widening.input if widening else step.input)

    def _preparation(self, kind: int) -> Step | None:
        """The step of that kind that prepares this one: those that do stand right before it."""
        for step in reversed(self._plan.steps[: self._number]):
            if step.kind == kind:
                return step
            if step.kind not in PREPARATIONS:
                break
        return None

    def _laid_out(self) -> None:
        """The step says of its weights what the instruction set's functions take for granted."""
        step, layout = self._step, self._layout
        said = step.run, step.products, step.unit, step.weight_bytes, step.weight_zero, step.lanes
        size = np.dtype(layout.weights).itemsize
        if said != (layout.run, layout.products, layout.unit, size, layout.weight_zero, layout.lanes):
            self._refuse(f"is not laid out for {self._plan.instructions}")
        if layout.needs_lists and step.nonzero_list < 0:
            self._refuse("has no list of its steps")

    def _rows(self, most: int) -> None:
        if not 1 <= self._step.rows <= most:
            self._refuse(f"has {self._step.rows} rows a tile, and {most} are the most")

    def _reads(self, run: int, width: int, offsets: int, size: int) -> None:
        """`run` rows at one distance behind each of `from`, and of each row `width` bytes behind each of the offsets.

        All of that lies in `size` bytes, those of a photo's input.
        """
        step = self._step
        first = self._array("input_offsets", step.tiles * -(-step.rows // run), np.int32)
        further = self._array("k_offsets", offsets, np.int32)
        lowest = min(int(first.min()), int(further.min(initial=0)), step.row_stride)
        apart = step.row_stride * (min(run, step.rows) - 1)
        end = int(first.max()) + apart + int(further.max(initial=0)) + width
        self._within("reads", lowest, end, size)

    def _writes(self, channels: int) -> None:
        """Each place of the output's picture once, and never its border."""
        step, made = self._step, self._tensor("output")
        to = np.sort(self._array("output_offsets", step.tiles * step.rows, np.int32))
        to = to[np.searchsorted(to, 0) :]  # the others are rows that nobody needs
        self._within("writes", 0, int(to.max(initial=0)) + channels, made.bytes)
        side = np.arange(made.size)
        places = made.place(side[:, np.newaxis], side).ravel()
        if step.input == step.output or channels != made.channels or not np.array_equal(to, places):
            self._refuse(f"does not write each place of its {made.size} x {made.size} x {made.channels} output once")

    def _weights(self) -> None:
        step = self._step
        weights = step.outputs * (step.k_steps + 1) * step.products
        if step.outputs % GROUP or step.group_bytes != (step.k_steps + 1) * self._layout.step_bytes:
            self._refuse(f"has {step.group_bytes} bytes of weights for {step.lanes} of its {step.outputs} outputs")
        self._array("weights", weights, self._layout.weights)
        every = full_list(step.k_steps)
        if not np.array_equal(self._array("full_list", every.size, np.int32), every):
            self._refuse(f"does not list its {step.k_steps} steps")

    def _array(self, field: str, entries: int, dtype: type[Number], step: Step | None = None) -> NDArray[Number]:
        """What `field` points at: so many entries of that type, from the beginning of a cache line on."""
        address = getattr(step or self._step, field)
        found = self._plan.arrays.get(address)
        if found is None or found.dtype != dtype or found.size != entries or address % CACHE_LINE:
            self._refuse(f"has no {entries} entries in `{field}`")
        return found.view(dtype)

    def _tensor(self, field: str) -> Tensor:
        return self._tensor_at(getattr(self._step, field), field)

    def _tensor_at(self, index: int, field: str) -> Tensor:
        buffer = self._buffer_at(index, field)
        if not isinstance(buffer, Tensor):
            self._refuse(f"has no tensor as its {field}")
        return buffer

    def _buffer_at(self, index: int, field: str) -> Tensor | Scratch:
        if not 0 <= index < len(self._plan.buffers):
            self._refuse(f"has no {field}")
        return self._plan.buffers[index]

    def _within(self, verb: str, first: int, end: int, size: int) -> None:
        if first < 0 or end > size:
            self._refuse(f"{verb} bytes {first} to {end} of {size}")

    def _refuse(self, what: str) -> Never:
        kind = KINDS.get(self._step.kind, "unknown")
        raise UnknownGraphError(f"step {self._number} of its plan ({kind}) {what}")
