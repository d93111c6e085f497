"""The memory planner: where the kernel reads and writes, without running it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from runtime.image import ImageSpec
from runtime.inference.native_session import plan_of
from runtime.native.bounds import check
from runtime.native.library import Layout
from runtime.native.steps import (
    BUILD_NONZERO_LIST,
    CLASS_SCORES,
    CONVOLUTION,
    LIST_BUFFER,
    MAX_POOLING,
    SPACE_TO_DEPTH,
    Plan,
)
from runtime.native.weight_packing import LANES, RUN, STEP, Tensor
from tests.runtime.native.models import CLASSES, model_of

STEP_OF_LISTS = 64  # bytes of a row that are looked at at once


def array(plan: Plan, address: int) -> np.ndarray[Any, Any]:
    """The array behind a step's pointer."""
    found = plan.arrays[address]
    assert found.ctypes.data == address
    return found


def assert_inside(plan: Plan) -> None:
    """By the product's own check, and by another one that shares nothing with it."""
    check(plan)
    size = plan.image_size
    for step in plan.steps:
        first = array(plan, step.input_offsets)
        assert first.min() >= 0
        if step.kind == SPACE_TO_DEPTH:
            assert first.max() + step.row_stride + 6 * step.rows <= size * size * 3
            target = array(plan, step.output_offsets)
            assert target.max() + 12 * step.rows <= plan.buffers[step.output].bytes
            continue
        source = plan.buffers[step.input].bytes
        if step.kind == CLASS_SCORES:
            assert first.max() + step.channels <= source
            continue
        offsets = array(plan, step.k_offsets)
        assert len(offsets) == step.k_steps
        run = step.rows if step.kind == MAX_POOLING else min(step.rows, RUN[plan.layout])
        width = {CONVOLUTION: STEP[plan.layout], MAX_POOLING: step.channels, BUILD_NONZERO_LIST: STEP_OF_LISTS}[
            step.kind
        ]
        assert len(first) == step.tiles * -(-step.rows // run)
        assert offsets.min(initial=0) >= 0
        assert first.max() + step.row_stride * (run - 1) + offsets.max(initial=0) + width <= source
        if step.kind == BUILD_NONZERO_LIST:
            written = step.tiles * step.list_capacity * 4
            assert 1 + 16 * step.k_steps <= step.list_capacity
            assert written <= plan.buffers[step.output].bytes
            continue
        to = array(plan, step.output_offsets)
        written = to[to >= 0]
        assert len(set(written.tolist())) == len(written)  # no two rows to one place
        channels = plan.buffers[step.output].channels
        assert written.min() >= 0
        assert (written % channels == 0).all()
        assert written.max() + channels <= plan.buffers[step.output].bytes
        assert len(written) == plan.buffers[step.output].size ** 2  # each place, and the border never
        if step.kind == CONVOLUTION:
            assert len(array(plan, step.weights)) == step.outputs // LANES * step.group_bytes
            assert array(plan, step.full_list).tolist() == [step.k_steps, *range(step.k_steps)]
            assert len(array(plan, step.bias)) == len(array(plan, step.scale)) == step.outputs
        if step.residual >= 0 and step.kind == CONVOLUTION:
            assert plan.buffers[step.residual].bytes == plan.buffers[step.output].bytes
            assert step.residual != step.output
        assert step.input != step.output


@pytest.mark.parametrize("size", [32, 50, 224])
@pytest.mark.parametrize("layout", ["amx", "vnni"])
def test_no_tile_reads_or_writes_outside_its_buffers(size: int, layout: Layout) -> None:
    plan = plan_of(model_of(size), ImageSpec(height=size, width=size), CLASSES, layout)
    lists = [step.output for step in plan.steps if step.kind == BUILD_NONZERO_LIST]
    assert len(plan.steps) == 23 + len(lists)
    assert set(lists) == ({LIST_BUFFER} if layout == "vnni" else set())
    assert_inside(plan)


def test_buffers_are_shared_by_tensors_of_one_layout() -> None:
    plan = plan_of(model_of(96), ImageSpec(height=96, width=96), CLASSES, "vnni")
    assert len(plan.buffers) < 20
    assert len({(tensor.size, tensor.channels) for tensor in plan.buffers if isinstance(tensor, Tensor)}) == 6
