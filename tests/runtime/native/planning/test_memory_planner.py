"""The memory planner: where the kernel reads and writes, without running it."""

from __future__ import annotations

from ctypes import addressof
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from runtime.image import ImageSpec
from runtime.inference.native_session import plan_of
from runtime.native.bounds import check
from runtime.native.layout import LAYOUTS, Instructions
from runtime.native.library import Step
from runtime.native.steps import (
    BUILD_NONZERO_LIST,
    CLASS_SCORES,
    CONVOLUTION,
    LIST_BUFFER,
    MAX_POOLING,
    SPACE_TO_DEPTH,
    WIDE_BUFFER,
    WIDEN,
    WINOGRAD,
    WINOGRAD_INPUT,
    Plan,
)
from runtime.native.weight_packing import Tensor, full_list, pack
from tests.runtime.native.models import CLASSES, every_layout, model_of

# Bytes behind an offset that the functions of kernel/isa/*.c load at once: for a step of the reduction, and at most for
# a list.
LOADED = {"sse4": 8, "avx2": 4, "avxvnni": 4, "vnni": 4, "amx": 64, "neon": 1, "dotprod": 4, "i8mm": 8}
LOADED_FOR_LISTS = {"vnni": 64, "i8mm": 8}
LOADED_FOR_A_LIST = 16
STORED_AT_ONCE = {"vnni": 16}  # entries of a list
STORED = 4
TRANSFORMED_AT_ONCE = 16  # channels of a patch, which kernel/templates/winograd.h transforms together
MULTIPLIED_AT_ONCE = 8  # those of a transformed one that it loads together

PATCHES = {2: 4, 3: 6, 4: 6}  # of Winograd's convolution: places a side, for so many outputs
VECTOR = 16  # channels that it transforms at once


def array(plan: Plan, address: int) -> np.ndarray[Any, Any]:
    """The array behind a step's pointer."""
    found = plan.arrays[address]
    assert found.ctypes.data == address
    return found


def assert_inside(plan: Plan) -> None:
    """By the product's own check, and by another one that shares nothing with it."""
    check(plan)
    for step in plan.steps:
        CHECKS[step.kind](plan, step)


def _space_to_depth(plan: Plan, step: Step) -> None:
    size, first, to = plan.image_size, array(plan, step.input_offsets), array(plan, step.output_offsets)
    assert first.min() >= 0
    assert to.min() >= 0
    assert first.max() + step.row_stride + 6 * step.rows <= size * size * 3
    assert to.max() + 12 * step.rows <= plan.buffers[step.output].bytes


def _class_scores(plan: Plan, step: Step) -> None:
    first = array(plan, step.input_offsets)
    assert first.min() >= 0
    assert first.max() + step.channels <= plan.buffers[step.input].bytes


def _widen(plan: Plan, step: Step) -> None:
    source = plan.buffers[step.input]
    assert isinstance(source, Tensor)
    assert step.channels == source.bytes <= step.tiles * step.rows
    assert 2 * source.bytes <= plan.buffers[step.output].bytes
    assert step.input != step.output == WIDE_BUFFER


def _max_pooling(plan: Plan, step: Step) -> None:
    _assert_reads(plan, step, run=step.rows, width=step.channels, offsets=step.k_steps)
    _assert_writes(plan, step)


def _convolution(plan: Plan, step: Step) -> None:
    layout = LAYOUTS[plan.instructions]
    # Dense steps of dotprod are of 16 products, which are loaded at once.
    width = max(LOADED[plan.instructions], step.products)
    _assert_reads(plan, step, run=layout.run, width=width, offsets=step.k_steps + 1)
    _assert_writes(plan, step)
    weights, full = array(plan, step.weights), array(plan, step.full_list)
    assert weights.nbytes == step.outputs // layout.lanes * step.group_bytes
    last = weights.reshape(step.outputs // layout.lanes, step.k_steps + 1, -1)[:, -1]
    assert not last.any()  # a step without weights, which fills a list up
    assert full[0] % 2 == 0
    assert full.tolist() == [step.k_steps + step.k_steps % 2, *range(full[0])]
    assert len(array(plan, step.bias)) == len(array(plan, step.scale)) == step.outputs
    _assert_adds(plan, step)


def _nonzero_list(plan: Plan, step: Step) -> None:
    layout, steps = LAYOUTS[plan.instructions], step.chunk * step.k_steps
    assert step.chunk in {1, layout.chunk // layout.products}
    whole = LOADED_FOR_LISTS.get(plan.instructions, LOADED_FOR_A_LIST)
    width = whole if step.chunk > 1 else max(4, step.products)
    _assert_reads(plan, step, run=layout.run, width=width, offsets=step.k_steps)
    stored = STORED_AT_ONCE.get(plan.instructions, STORED)
    behind = {"dotprod": step.list_capacity - layout.rows, "i8mm": step.gathered}
    assert 1 + steps + stored <= behind.get(plan.instructions, step.list_capacity)
    if layout.gathers:
        assert step.gathered + steps * layout.rows * layout.products // 4 <= step.list_capacity
    assert step.tiles * step.list_capacity * 4 <= plan.buffers[step.output].bytes
    assert step.input != step.output == LIST_BUFFER


def _winograd_input(plan: Plan, step: Step) -> None:
    assert step.channels % TRANSFORMED_AT_ONCE == 0
    _assert_reads(plan, step, run=step.rows, width=step.channels, offsets=step.rows)
    assert 2 * step.tiles * step.rows**2 * step.channels <= plan.buffers[step.output].bytes
    assert step.input != step.output == WIDE_BUFFER


def _winograd(plan: Plan, step: Step) -> None:
    before = next(each for each, after in pairwise(plan.steps) if addressof(after) == addressof(step))
    assert (before.kind, before.output) == (WINOGRAD_INPUT, step.input)
    assert (before.tiles, before.channels, before.side) == (step.tiles, step.channels, step.side)
    assert step.rows == step.side**2
    channels = step.k_steps * step.unit
    assert -(-channels // MULTIPLIED_AT_ONCE) * MULTIPLIED_AT_ONCE <= step.channels
    _assert_writes(plan, step)
    weights = array(plan, step.weights)
    assert weights.dtype == np.int16
    assert len(weights) == step.outputs * before.rows**2 * channels
    assert weights.nbytes == step.outputs // 32 * step.group_bytes
    assert len(array(plan, step.bias)) == len(array(plan, step.scale)) == step.outputs
    _assert_adds(plan, step)


def _assert_adds(plan: Plan, step: Step) -> None:
    if step.residual >= 0:
        assert plan.buffers[step.residual].bytes == plan.buffers[step.output].bytes
        assert step.residual != step.output


CHECKS = {
    SPACE_TO_DEPTH: _space_to_depth,
    CONVOLUTION: _convolution,
    MAX_POOLING: _max_pooling,
    CLASS_SCORES: _class_scores,
    BUILD_NONZERO_LIST: _nonzero_list,
    WIDEN: _widen,
    WINOGRAD_INPUT: _winograd_input,
    WINOGRAD: _winograd,
}


def _assert_reads(plan: Plan, step: Step, *, run: int, width: int, offsets: int) -> None:
    first, further = array(plan, step.input_offsets), array(plan, step.k_offsets)
    run = min(run, step.rows)
    assert len(further) == offsets
    assert len(first) == step.tiles * -(-step.rows // run)
    assert min(first.min(), further.min(initial=0)) >= 0
    assert first.max() + step.row_stride * (run - 1) + further.max(initial=0) + width <= plan.buffers[step.input].bytes


def _assert_writes(plan: Plan, step: Step) -> None:
    to, target = array(plan, step.output_offsets), plan.buffers[step.output]
    assert isinstance(target, Tensor)
    written = to[to >= 0]
    assert len(set(written.tolist())) == len(written)  # no two rows to one place
    assert (written % target.channels == 0).all()
    assert written.max() + target.channels <= target.bytes
    assert len(written) == target.size**2  # each place, and the border never
    assert step.input != step.output


@pytest.mark.parametrize("size", [32, 50, 224])
@every_layout
def test_no_tile_reads_or_writes_outside_its_buffers(size: int, instructions: Instructions) -> None:
    plan = plan_of(model_of(size), ImageSpec(height=size, width=size), CLASSES, instructions)
    kinds = [step.kind for step in plan.steps]
    lists, widened, transformed = (kinds.count(kind) for kind in (BUILD_NONZERO_LIST, WIDEN, WINOGRAD_INPUT))
    assert len(kinds) == 23 + lists + widened + transformed
    assert kinds.count(WINOGRAD) == transformed
    if size == 224 or LAYOUTS[instructions].direct == 1:  # else small maps are computed directly
        assert bool(transformed) is bool(LAYOUTS[instructions].winograd)
    # Each convolution has what it cannot do without; lists of nonzero steps there are besides.
    needed = LAYOUTS[instructions].needs_lists
    assert lists == 20 if needed else lists == 0 if instructions == "amx" else 0 < lists < 20
    assert widened == (20 - transformed if LAYOUTS[instructions].wide else 0)
    assert_inside(plan)


@every_layout
def test_weights_lie_where_each_layout_says(instructions: Instructions) -> None:
    """[outputs / lanes][steps + 1][products / unit][lanes][unit], read back at their addresses."""
    layout, tensor = LAYOUTS[instructions], Tensor(5, 64, 1, 0)
    weights = np.random.default_rng(0).integers(-127, 128, (96, 64, 3, 3)).astype(np.int8)
    packed = pack(weights, tensor, layout)
    assert packed.weights.dtype == layout.weights
    assert packed.weights[0].nbytes == len(packed.offsets) * layout.step_bytes
    values = packed.weights.astype(np.int32)
    if layout.weight_zero:
        values = packed.weights.view(np.uint8).astype(np.int32) - layout.weight_zero
    for o, c, y, x in np.random.default_rng(1).integers(0, [96, 64, 3, 3], (200, 4)):
        k, product = divmod(int((y * 3 + x) * 64 + c), layout.products)
        assert packed.offsets[k] + product == (y * tensor.pitch + x) * 64 + c
        place = o // layout.lanes, k, product // layout.unit, o % layout.lanes, product % layout.unit
        assert values[place] == weights[o, c, y, x]


@every_layout
def test_steps_whose_weights_are_zero_are_left_out_where_a_step_is_one_unit(instructions: Instructions) -> None:
    layout = LAYOUTS[instructions]
    weights = np.ones((32, 64, 1, 1), np.int8)
    weights[:, 8:24] = 0
    packed = pack(weights, Tensor(5, 64, 1, 0), layout)
    may_be = layout.products == layout.unit and not layout.weight_zero  # whose activations are added up in whole chunks
    left_out = 16 // layout.products if may_be else 0
    assert len(packed.offsets) == 64 // layout.products - left_out + 1


@pytest.mark.parametrize(("count", "listed"), [(0, []), (1, [0, 1]), (4, [0, 1, 2, 3]), (5, [0, 1, 2, 3, 4, 5])])
def test_a_list_of_an_odd_length_ends_with_the_step_without_weights(count: int, listed: list[int]) -> None:
    assert full_list(count).tolist() == [len(listed), *listed]


def test_buffers_are_shared_by_tensors_of_one_layout() -> None:
    plan = plan_of(model_of(96), ImageSpec(height=96, width=96), CLASSES, "vnni")
    assert len(plan.buffers) < 20
    assert len({(tensor.size, tensor.channels) for tensor in plan.buffers if isinstance(tensor, Tensor)}) == 6
