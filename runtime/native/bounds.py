"""Bounds checker: prove that the kernel reads and writes only inside a plan's buffers and arrays, before it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Never, TypeVar

import numpy as np
from numpy.typing import NDArray

from runtime.native.library import LARGEST
from runtime.native.onnx_importer import UnknownGraphError
from runtime.native.steps import (
    BUILD_NONZERO_LIST,
    CLASS_SCORES,
    CONVOLUTION,
    LIST_STEPS,
    MAX_POOLING,
    SPACE_TO_DEPTH,
    NonzeroLists,
    Plan,
    max_batch_size_of,
)
from runtime.native.weight_packing import CACHE_LINE, DEPTH, GROUP, LANES, ROWS, RUN, STEP, Tensor, full_list

KINDS = {
    SPACE_TO_DEPTH: "space to depth",
    CONVOLUTION: "convolution",
    MAX_POOLING: "max pooling",
    CLASS_SCORES: "class scores",
    BUILD_NONZERO_LIST: "list of nonzero steps",
}
# A counter of work goes on by a sixteenth and one for each thread when all is taken (`run_steps` in dispatch.c).
MAX_WORK = LARGEST // 2

Number = TypeVar("Number", np.int8, np.int32, np.float32)


def check(plan: Plan) -> None:
    """Prove a plan against all that the kernel does with each kind of step.

    Raises UnknownGraphError naming the step, and what lies outside or is too large.
    """
    check_workspace(plan.buffers, plan.image_size, "its plan")
    for number in range(len(plan.steps)):
        _Bounds(plan, number).check()


def check_workspace(buffers: Sequence[Tensor | NonzeroLists], image_size: int, layer: str) -> None:
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

    def check(self) -> None:
        checks = {
            SPACE_TO_DEPTH: self._space_to_depth,
            CONVOLUTION: self._convolution,
            MAX_POOLING: self._max_pooling,
            CLASS_SCORES: self._class_scores,
            BUILD_NONZERO_LIST: self._nonzero_list,
        }
        if self._step.kind not in checks:
            self._refuse("is of no kind that the kernel knows")
        self._work()
        checks[self._step.kind]()

    def _work(self) -> None:
        """Tiles of all photos and outputs, and rows of all tiles, are counted in the kernel's integers."""
        step = self._step
        groups = step.outputs // LANES if step.kind == CONVOLUTION else 1
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
        step, layout = self._step, self._plan.layout
        self._rows(ROWS[layout])
        self._reads(RUN[layout], STEP[layout])
        self._writes(step.outputs)
        self._weights()
        if step.residual >= 0 and (
            self._tensor("residual")[:3] != self._tensor("output")[:3] or step.residual == step.output
        ):
            self._refuse("adds a tensor of another layout, or its own output")
        if step.nonzero_list >= 0:
            self._uses_list_made_before()

    def _max_pooling(self) -> None:
        step = self._step
        if step.channels % GROUP or step.k_steps < 1:
            self._refuse(f"has {step.channels} channels and {step.k_steps} places")
        self._rows(self._plan.image_size)
        self._reads(step.rows, step.channels)
        self._writes(step.channels)

    def _class_scores(self) -> None:
        step, plan = self._step, self._plan
        first = self._array("input_offsets", step.tiles, np.int32)
        self._within("reads", int(first.min()), int(first.max()) + step.channels, self._tensor("input").bytes)
        self._array("scale", step.outputs * step.channels, np.float32)
        floats = len(plan.bias) * plan.map_size**2  # of a photo, in the result
        if step.channels % LANES or not step.outputs * step.tiles == step.scores_per_photo == floats:
            self._refuse(f"has {step.channels} channels and writes {step.scores_per_photo} of {floats} values")

    def _nonzero_list(self) -> None:
        step = self._step
        self._rows(ROWS["vnni"])
        self._reads(RUN["vnni"], DEPTH)
        # Each write is of 16 integers, however few count.
        if 1 + LIST_STEPS * step.k_steps > step.list_capacity:
            self._refuse(f"lists {LIST_STEPS * step.k_steps} steps in room for {step.list_capacity}")
        self._within("writes", 0, 4 * step.tiles * step.list_capacity, self._buffer("output").bytes)

    def _uses_list_made_before(self) -> None:
        """The list is what the step before has made, for the same tiles and of the steps that there are."""
        step, before = self._step, self._plan.steps[max(self._number - 1, 0)]
        made = before.kind, before.output, before.list_capacity, LIST_STEPS * before.k_steps
        same = ("input", "input_offsets", "tiles", "rows", "row_stride")
        if made != (BUILD_NONZERO_LIST, step.nonzero_list, step.list_capacity, step.k_steps) or any(
            getattr(before, field) != getattr(step, field) for field in same
        ):
            self._refuse("reads a list that the step before it does not make")

    def _rows(self, most: int) -> None:
        if not 1 <= self._step.rows <= most:
            self._refuse(f"has {self._step.rows} rows a tile, and {most} are the most")

    def _reads(self, run: int, width: int) -> None:
        """`run` rows at one distance behind each of `from`, and of each row `width` bytes behind each of `offsets`."""
        step = self._step
        first = self._array("input_offsets", step.tiles * -(-step.rows // run), np.int32)
        offsets = self._array("k_offsets", step.k_steps, np.int32)
        lowest = min(int(first.min()), int(offsets.min(initial=0)), step.row_stride)
        apart = step.row_stride * (min(run, step.rows) - 1)
        end = int(first.max()) + apart + int(offsets.max(initial=0)) + width
        self._within("reads", lowest, end, self._tensor("input").bytes)

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
        if step.outputs % GROUP or step.group_bytes != step.k_steps * LANES * STEP[self._plan.layout]:
            self._refuse(f"has {step.group_bytes} bytes of weights for {LANES} of its {step.outputs} outputs")
        self._array("weights", step.outputs // LANES * step.group_bytes, np.int8)
        self._array("bias", step.outputs, np.int32)
        self._array("scale", step.outputs, np.float32)
        if not np.array_equal(self._array("full_list", 1 + step.k_steps, np.int32), full_list(step.k_steps)):
            self._refuse(f"does not list its {step.k_steps} steps")

    def _array(self, field: str, entries: int, dtype: type[Number]) -> NDArray[Number]:
        """What `field` points at: so many entries of that type, from the beginning of a cache line on."""
        address = getattr(self._step, field)
        found = self._plan.arrays.get(address)
        if found is None or found.dtype != dtype or found.size != entries or address % CACHE_LINE:
            self._refuse(f"has no {entries} entries in `{field}`")
        return found.view(dtype)

    def _tensor(self, field: str) -> Tensor:
        buffer = self._buffer(field)
        if not isinstance(buffer, Tensor):
            self._refuse(f"has a list as its {field}")
        return buffer

    def _buffer(self, field: str) -> Tensor | NonzeroLists:
        index: int = getattr(self._step, field)
        if not 0 <= index < len(self._plan.buffers):
            self._refuse(f"has no {field}")
        return self._plan.buffers[index]

    def _within(self, verb: str, first: int, end: int, size: int) -> None:
        if first < 0 or end > size:
            self._refuse(f"{verb} bytes {first} to {end} of {size}")

    def _refuse(self, what: str) -> Never:
        kind = KINDS.get(self._step.kind, "unknown")
        raise UnknownGraphError(f"step {self._number} of its plan ({kind}) {what}")
