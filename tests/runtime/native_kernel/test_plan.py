"""Where the kernel reads and writes, without running it: on every processor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime.image import ImageSpec
from runtime.native.layout import LANES, RUN, STEP, Tensor
from runtime.native.model_file import read_graph
from runtime.native.network import read_network
from runtime.native.plan import BLOCKS, CONVOLUTION, EVIDENCE, LISTING, LISTS, POOLING, Plan, lay_out
from tests.runtime.native_kernel.models import write_random

STEP_OF_LISTS = 64  # bytes of a row that are looked at at once


def array(plan: Plan, address: int) -> np.ndarray[Any, Any]:
    """The array behind a step's pointer."""
    return next(array for array in plan.arrays if array.ctypes.data == address)


def assert_inside(plan: Plan) -> None:
    size = plan.image_size
    for step in plan.steps:
        first = array(plan, step.from_)
        assert first.min() >= 0
        if step.kind == BLOCKS:
            assert first.max() + step.distance + 6 * step.rows <= size * size * 3
            target = array(plan, step.to)
            assert target.max() + 12 * step.rows <= plan.buffers[step.output].bytes
            continue
        source = plan.buffers[step.input].bytes
        if step.kind == EVIDENCE:
            assert first.max() + step.channels <= source
            continue
        offsets = array(plan, step.offsets)
        assert len(offsets) == step.steps
        run = step.rows if step.kind == POOLING else min(step.rows, RUN[plan.instructions])
        width = {CONVOLUTION: STEP[plan.instructions], POOLING: step.channels, LISTING: STEP_OF_LISTS}[step.kind]
        assert len(first) == step.tiles * -(-step.rows // run)
        assert offsets.min(initial=0) >= 0
        assert first.max() + step.distance * (run - 1) + offsets.max(initial=0) + width <= source
        if step.kind == LISTING:
            written = step.tiles * step.list_room * 4
            assert 1 + 16 * step.steps <= step.list_room
            assert written <= plan.buffers[step.output].bytes
            continue
        to = array(plan, step.to)
        written = to[to >= 0]
        assert len(set(written.tolist())) == len(written)  # no two rows to one place
        channels = plan.buffers[step.output].channels
        assert written.min() >= 0
        assert (written % channels == 0).all()
        assert written.max() + channels <= plan.buffers[step.output].bytes
        assert len(written) == plan.buffers[step.output].size ** 2  # each place, and the border never
        if step.kind == CONVOLUTION:
            assert len(array(plan, step.weights)) == step.outputs // LANES * step.group_bytes
            assert array(plan, step.every).tolist() == [step.steps, *range(step.steps)]
            assert len(array(plan, step.bias)) == len(array(plan, step.scale)) == step.outputs
        if step.residual >= 0 and step.kind == CONVOLUTION:
            assert plan.buffers[step.residual].bytes == plan.buffers[step.output].bytes
            assert step.residual != step.output
        assert step.input != step.output


@pytest.mark.parametrize("size", [32, 34, 50, 64, 96, 130, 224, 320])
def test_no_tile_reads_or_writes_outside_its_buffers(size: int, tmp_path: Path) -> None:
    file = write_random(tmp_path / "model.onnx", size=size)
    network = read_network(read_graph(file.read_bytes()), ImageSpec(height=size, width=size), 2)
    for instructions in ("amx", "vnni"):
        plan = lay_out(network, instructions)  # type: ignore[arg-type]
        lists = [step.output for step in plan.steps if step.kind == LISTING]
        assert len(plan.steps) == 23 + len(lists)
        assert set(lists) == ({LISTS} if instructions == "vnni" else set())
        assert_inside(plan)


def test_buffers_are_shared_by_tensors_of_one_layout(tmp_path: Path) -> None:
    file = write_random(tmp_path / "model.onnx", size=96)
    plan = lay_out(read_network(read_graph(file.read_bytes()), ImageSpec(height=96, width=96), 2), "vnni")
    assert len(plan.buffers) < 20
    assert len({(tensor.size, tensor.channels) for tensor in plan.buffers if isinstance(tensor, Tensor)}) == 6
