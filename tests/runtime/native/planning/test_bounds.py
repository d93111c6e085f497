"""A plan that would leave the kernel's memory is refused, before it takes any. Nothing here runs the kernel."""

from __future__ import annotations

import ctypes
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import Bundle
from runtime.inference.native_session import plan_of
from runtime.native.bounds import KINDS, check
from runtime.native.layout import LAYOUTS, Instructions
from runtime.native.library import LARGEST, Job, Step, Taps, _Argument
from runtime.native.memory_planner import lay_out
from runtime.native.onnx_importer import Convolution, Network, Pooling, Quantisation, UnknownGraphError, read_network
from runtime.native.onnx_protobuf import read_graph
from runtime.native.resize import LONGEST, _Side
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
    Scratch,
    max_batch_size_of,
)
from runtime.native.weight_packing import Tensor, int32
from tests.runtime.native.models import every_layout
from tests.runtime.native.networks import convolution, network, stem
from tests.runtime.native.planning.test_memory_planner import assert_inside
from tests.support.suite.repeats import thorough_but

LITTLE = 50e6  # bytes
SIZES = [32, 36, 62, 66, 100, 118, 148, 194, 222, 254, 288, 318, 512, 1024]  # px

# What the kernel takes from each kind of step: arrays of offsets, buffers, and how many there are of something.
OFFSETS = {
    SPACE_TO_DEPTH: ("input_offsets", "output_offsets"),
    CONVOLUTION: ("input_offsets", "output_offsets", "k_offsets"),
    MAX_POOLING: ("input_offsets", "output_offsets", "k_offsets"),
    CLASS_SCORES: ("input_offsets",),
    BUILD_NONZERO_LIST: ("input_offsets", "k_offsets"),
    WIDEN: (),
    WINOGRAD_INPUT: ("input_offsets", "k_offsets"),
    WINOGRAD: ("output_offsets",),
}
BUFFERS = {
    SPACE_TO_DEPTH: ("output",),
    CONVOLUTION: ("input", "output"),
    MAX_POOLING: ("input", "output"),
    CLASS_SCORES: ("input",),
    BUILD_NONZERO_LIST: ("input", "output"),
    WIDEN: ("input", "output"),
    WINOGRAD_INPUT: ("input", "output"),
    WINOGRAD: ("input", "output"),
}
COUNTS = {
    SPACE_TO_DEPTH: ("tiles", "rows"),
    CONVOLUTION: ("outputs", "k_steps", "tiles", "rows", "group_bytes"),
    MAX_POOLING: ("channels", "k_steps", "tiles", "rows"),
    CLASS_SCORES: ("channels", "outputs", "tiles", "scores_per_photo"),
    BUILD_NONZERO_LIST: ("k_steps", "tiles", "rows", "chunk"),
    WIDEN: ("channels", "tiles", "rows"),
    WINOGRAD_INPUT: ("channels", "tiles", "rows", "side"),
    WINOGRAD: ("channels", "outputs", "k_steps", "tiles", "rows", "side", "unit", "lanes", "group_bytes"),
}
# What a convolution says of its weights must be what the instruction set's functions take for granted.
LAID_OUT = ("run", "products", "unit", "weight_bytes", "weight_zero", "lanes", "activation_bytes")
# What a list and the convolution that reads it must agree on.
SHARED = ("tiles", "rows", "run", "products", "weight_zero", "gathered", "list_capacity")
OTHERS = ("full_list", "weights", "bias", "scale")
REFUSED = r"step \d+ of its plan \(.+\) "


@contextmanager
def little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < LITTLE
    finally:
        tracemalloc.stop()


@every_layout
def test_a_network_of_8192_px_and_128_channels_is_refused_before_it_takes_memory(
    instructions: Instructions,
) -> None:
    large = network(8192, [stem(8192, 128)])
    with (
        little_memory(),
        pytest.raises(UnknownGraphError, match=r"stem is too large for the native kernel.*1 photos take \d{10} bytes"),
    ):
        lay_out(large, instructions)


@pytest.mark.parametrize("seed", range(20))
def test_networks_of_more_than_31_bits_are_refused_before_they_take_memory(seed: int) -> None:
    generator = np.random.default_rng(seed)
    size = 2 * int(2 ** generator.uniform(9, 30))
    needed = 2**31 // (size // 2) ** 2 // max_batch_size_of(size) + 1
    channels = int(needed * generator.uniform(1, 2)) + 1
    large = network(size, [stem(size, channels)])
    with little_memory(), pytest.raises(UnknownGraphError, match=r"(stem|its input) is too large .* photos take"):
        lay_out(large, list(LAYOUTS)[seed % len(LAYOUTS)])


@pytest.mark.parametrize("instructions", thorough_but(("vnni",), LAYOUTS))
def test_a_kernel_as_large_as_its_input_is_refused_before_its_weights_are_copied(
    instructions: Instructions,
) -> None:
    side = 2400 if LAYOUTS[instructions].lanes == 32 else 3400  # for more than 2 GiB of weights in a group
    weights = np.broadcast_to(np.int8(1), (32, 12, side, side))
    large = network(2 * (side - 4), [convolution("stem", "blocks", weights, 1, padding=2)])
    with little_memory(), pytest.raises(UnknownGraphError, match=r"stem is too large .*weights of \d+ outputs take"):
        lay_out(large, instructions)


def test_more_evidence_than_the_kernel_can_count_is_refused_before_it_takes_memory() -> None:
    large = network(512, [stem(512, 32)], classes=2**15 + 1)
    with little_memory(), pytest.raises(UnknownGraphError, match=r"its classifier is too large .*65536 places"):
        lay_out(large, "vnni")


def test_a_bias_that_the_zero_point_makes_too_large_is_refused() -> None:
    bias, inputs = np.full(32, LARGEST, np.int32), Quantisation(np.float32(1), 255)
    weights = np.full((32, 12, 4, 4), -127, np.int8)
    layer = replace(stem(32, 32), bias=bias, weights=weights, input_quantisation=inputs)
    with pytest.raises(UnknownGraphError, match=r"stem is too large .* of its biases"):
        lay_out(network(32, [layer]), "vnni")


@pytest.mark.parametrize("seed", range(20))
def test_networks_of_any_shape_that_fit_are_planned(seed: int) -> None:
    generator = np.random.default_rng(seed)
    size = 2 * int(generator.integers(4, 60))
    layers: list[Convolution | Pooling] = [stem(size, int(generator.integers(1, 150)))]
    channels, side = len(layers[0].weights), size // 2
    for i in range(4):
        kernel, stride = int(generator.choice([1, 3])), int(generator.choice([1, 2]))
        side = (side - 1) // stride + 1
        outputs = int(generator.integers(1, 300))
        # One layer in three has lost all its weights, and takes no step.
        weights = generator.integers(-127, 128, (outputs, channels, kernel, kernel)) * (generator.random() < 2 / 3)
        padding = kernel // 2
        name, source = f"layer {i}", layers[-1].output
        layers.append(convolution(name, source, weights.astype(np.int8), side, stride=stride, padding=padding))
        channels = outputs
    layers.append(Pooling(layers[-1].output, "pooled", (side - 1) // 2 + 1))
    for instructions in LAYOUTS:
        assert_inside(lay_out(network(size, layers, classes=int(generator.integers(2, 50))), instructions))


@pytest.fixture(scope="module")
def resnet() -> Network:
    bundle = Bundle.open(default_bundle())
    manifest = bundle.manifest
    return read_network(read_graph(bundle.model.read_bytes()), manifest.input, manifest.outputs)


def at(found: Network, image_size: int) -> Network:
    """The same network for photos of another size."""
    sides, layers = {found.layers[0].input: image_size // 2}, []
    for layer in found.layers:
        side = sides[layer.input]
        if isinstance(layer, Convolution):
            kernel = layer.weights.shape[2]
            behind = layer.padding if kernel % 2 else layer.padding - 1
            side = (side + layer.padding + behind - kernel) // layer.stride + 1
        else:
            side = (side - 1) // 2 + 1
        sides[layer.output] = side
        layers.append(replace(layer, size=side))
    return replace(found, image_size=image_size, layers=layers)


@pytest.mark.parametrize("size", thorough_but((36, 194, 318), SIZES))
@every_layout
def test_the_default_network_is_planned_at_every_size(resnet: Network, size: int, instructions: Instructions) -> None:
    assert at(resnet, resnet.image_size).layers == resnet.layers
    assert_inside(lay_out(at(resnet, size), instructions))


@pytest.fixture(scope="module", params=thorough_but(("avx2", "vnni", "amx"), LAYOUTS))
def laid_out(request: pytest.FixtureRequest) -> Plan:
    bundle = Bundle.open(default_bundle())
    manifest = bundle.manifest
    return plan_of(bundle.model.read_bytes(), manifest.input, manifest.outputs, request.param)


def assert_refused(plan: Plan, step: Step, **changes: int) -> None:
    """With one or more numbers of a step changed, which are put back."""
    right = {name: getattr(step, name) for name in changes}
    for name, value in changes.items():
        setattr(step, name, value)
    with pytest.raises(UnknownGraphError, match=REFUSED):
        check(plan)
    for name, value in right.items():
        setattr(step, name, value)


def test_an_offset_that_was_changed_is_found_in_every_step(laid_out: Plan) -> None:
    generator = np.random.default_rng(0)
    beyond = max(3 * laid_out.image_size**2, *(buffer.bytes for buffer in laid_out.buffers))
    for step in laid_out.steps:
        for name in OFFSETS[step.kind]:
            array: np.ndarray[Any, Any] = laid_out.arrays[getattr(step, name)]
            for wrong in (-1, -LARGEST, beyond, LARGEST):
                place = generator.choice(np.flatnonzero(array >= 0))  # the others are rows that nobody needs
                right, array[place] = array[place], wrong
                with pytest.raises(UnknownGraphError, match=REFUSED + "(reads|writes|does not write)"):
                    check(laid_out)
                array[place] = right
    check(laid_out)


def test_a_number_that_was_changed_is_found_in_every_step(laid_out: Plan) -> None:
    for step in laid_out.steps:
        for name in COUNTS[step.kind]:
            for wrong in (getattr(step, name) + 1, -LARGEST, LARGEST):
                assert_refused(laid_out, step, **{name: wrong})
        for name in BUFFERS[step.kind]:
            for wrong in {-1, len(laid_out.buffers), LIST_BUFFER} - {getattr(step, name)}:
                assert_refused(laid_out, step, **{name: wrong})
        for name in LAID_OUT if step.kind == CONVOLUTION else ():
            for wrong in (getattr(step, name) + 1, 0 if getattr(step, name) else 128, LARGEST):
                assert_refused(laid_out, step, **{name: wrong})
        if step.kind not in {CLASS_SCORES, WIDEN, WINOGRAD}:
            assert_refused(laid_out, step, row_stride=-1)
            # Else each row has an offset of its own.
            if step.kind in {SPACE_TO_DEPTH, MAX_POOLING, WINOGRAD_INPUT} or step.run > 1:
                assert_refused(laid_out, step, row_stride=LARGEST)
        assert_refused(laid_out, step, kind=len(KINDS))
    check(laid_out)


def test_a_residual_or_a_list_of_something_else_is_found(laid_out: Plan) -> None:
    convolutions = [step for step in laid_out.steps if step.kind == CONVOLUTION]
    for step in convolutions:
        for wrong in (LIST_BUFFER, step.output, 1, len(laid_out.buffers)):
            assert_refused(laid_out, step, residual=wrong)
        assert_refused(laid_out, step, nonzero_list=2)
        assert_refused(laid_out, step, nonzero_list=LIST_BUFFER, list_capacity=step.list_capacity + 16)
        if LAYOUTS[laid_out.instructions].needs_lists:
            assert_refused(laid_out, step, nonzero_list=-1)
        if LAYOUTS[laid_out.instructions].wide:
            assert_refused(laid_out, step, input=step.residual if step.residual >= 0 else 2)
    assert any(step.residual >= 0 for step in convolutions)


def test_a_list_that_differs_from_the_convolutions_is_found(laid_out: Plan) -> None:
    lists = [step for step in laid_out.steps if step.kind == BUILD_NONZERO_LIST]
    for step in lists:
        for name in SHARED:
            for wrong in (getattr(step, name) + 1, LARGEST):
                assert_refused(laid_out, step, **{name: wrong})
    assert bool(lists) is (laid_out.instructions != "amx")


def test_a_list_or_a_widening_of_another_layers_input_is_found(laid_out: Plan) -> None:
    """A convolution is prepared by the steps right before it, and those are of its own input."""
    for step in (step for step in laid_out.steps if step.kind in {BUILD_NONZERO_LIST, WIDEN}):
        for other in range(WIDE_BUFFER + 1, len(laid_out.buffers)):
            if other != step.input and laid_out.buffers[other] != laid_out.buffers[step.input]:
                assert_refused(laid_out, step, input=other)
                break
        output = WIDE_BUFFER if step.output == LIST_BUFFER else LIST_BUFFER
        assert_refused(laid_out, step, output=output)


def test_an_array_of_another_length_or_place_is_found(laid_out: Plan) -> None:
    for step in laid_out.steps:
        used = [name for name in (*OFFSETS[step.kind], *OTHERS) if getattr(step, name)]
        for name in used:
            address = getattr(step, name)
            right = laid_out.arrays[address]
            laid_out.arrays[address] = right[:-1]
            with pytest.raises(UnknownGraphError, match=REFUSED + "has no .* entries"):
                check(laid_out)
            laid_out.arrays[address] = right
            assert_refused(laid_out, step, **{name: address + 1})


def test_a_buffer_that_is_too_small_is_found(laid_out: Plan) -> None:
    for i, right in enumerate(laid_out.buffers):
        if right.bytes:  # with AMX there are no lists, and few layouts widen
            smaller = right._replace(size=right.size - 1) if isinstance(right, Tensor) else Scratch(right.bytes - 1)
            laid_out.buffers[i] = smaller
            with pytest.raises(UnknownGraphError, match=REFUSED):
                check(laid_out)
            laid_out.buffers[i] = right
    check(laid_out)


def test_tensors_that_are_too_large_together_are_refused(
    resnet: Network, laid_out: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = max_batch_size_of(resnet.image_size) * sum(buffer.bytes for buffer in laid_out.buffers)
    monkeypatch.setattr("runtime.native.bounds.LARGEST", needed)
    lay_out(resnet, laid_out.instructions)
    monkeypatch.setattr("runtime.native.bounds.LARGEST", needed - 1)
    with pytest.raises(UnknownGraphError, match=rf"is too large .* 8 photos take {needed} bytes, and {needed - 1} are"):
        lay_out(resnet, laid_out.instructions)


def test_a_number_that_does_not_fit_its_field_is_refused_and_not_cut_off() -> None:
    step = Step(row_stride=LARGEST, weights=2**63, bias=None, scale=0)
    assert (step.row_stride, step.weights, step.bias) == (LARGEST, 2**63, None)
    for make in (
        lambda: Step(tiles=2**31),
        lambda: Step(group_bytes=2**32 + 64),
        lambda: setattr(step, "list_capacity", -(2**31) - 1),
        lambda: Job(photos=2**32 + 1),
        lambda: Taps(2**32 + 1, 1),
        lambda: int32(np.array([0, 2**31]), "outputs"),
        lambda: int32(np.array([-(2**31) - 1]), "outputs"),
    ):
        with pytest.raises(OverflowError, match=r"cannot hold|beyond 2147483647"):
            make()
    assert int32(np.array([-(2**31), LARGEST]), "outputs").tolist() == [-(2**31), LARGEST]
    assert int32(np.zeros(0, np.int64), "outputs").dtype == np.int32


def test_an_argument_that_does_not_fit_is_refused_and_not_cut_off() -> None:
    absolute = ctypes.CDLL(None).abs
    absolute.argtypes = [_Argument]
    assert absolute(-LARGEST) == absolute(LARGEST) == LARGEST
    for wrong in (2**31, -(2**31) - 1, 2**32 + 1):
        with pytest.raises(ctypes.ArgumentError, match=f"{wrong} is beyond {LARGEST}"):
            absolute(wrong)


def test_a_side_whose_bytes_the_kernel_cannot_count_is_not_resized() -> None:
    with pytest.raises(ValueError, match=f"a side of {LONGEST + 1} px is more than {LONGEST}; resize it with Pillow"):
        _Side(LONGEST + 1, 1, 1.0)
