"""Winograd's convolution: its integers cannot be wrong, some layers take it, and its bytes are the direct one's."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.image import ImageSpec
from runtime.inference.native_session import plan_of
from runtime.native.bounds import check
from runtime.native.layout import LAYOUTS, Instructions
from runtime.native.library import LARGEST
from runtime.native.memory_planner import lay_out
from runtime.native.onnx_importer import Convolution, Network, Quantisation, Residual, UnknownGraphError
from runtime.native.steps import LIST_BUFFER, WIDE_BUFFER, WINOGRAD, WINOGRAD_INPUT, Plan, Scratch
from runtime.native.weight_packing import CACHE_LINE, Tensor
from runtime.native.winograd import (
    FOUR,
    LARGEST_INPUT,
    THREE,
    TRANSFORMS,
    TWO,
    Transform,
    choose_transform,
    is_exact,
    tiles_of,
    transform_weights,
)
from tests.runtime.native.layers import layers_bytes
from tests.runtime.native.models import CLASSES, VARIANTS, every, model_of, photos, variant_of
from tests.runtime.native.networks import convolution, network, random_network, stem
from tests.support.suite.repeats import thorough_but

OF_SMALL_HOSTS: tuple[Instructions, ...] = ("sse4", "avx2", "neon")
OF_BYTES: tuple[Instructions, ...] = ("avxvnni", "vnni")  # which multiply bytes twice as fast
WITH_WINOGRAD: tuple[Instructions, ...] = (*OF_SMALL_HOSTS, *OF_BYTES)
# The ways to compute it that this processor has; NEON's own functions are run under emulation (test_emulated.py).
WAYS = {name: variant for name, variant in VARIANTS.items() if variant[1] in WITH_WINOGRAD}
REFUSED = r"step \d+ of its plan \((transform of an input|convolution by Winograd)\) "

every_transform = pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
every_way = every(WAYS)


@every_transform
def test_every_product_of_a_weight_and_an_input_comes_out_at_its_place(transform: Transform) -> None:
    """The convolution is linear in both, so that all of it is right if each pair of one weight and one input is."""
    kernel, patch, side = transform.kernel, transform.patch, transform.side
    assert patch == side + kernel - 1
    for wy, wx, iy, ix in product(range(kernel), range(kernel), range(patch), range(patch)):
        weights, inputs = np.zeros((kernel, kernel), int), np.zeros((patch, patch), int)
        weights[wy, wx] = inputs[iy, ix] = 1
        sums = both(transform.weights, weights) * both(transform.inputs, inputs)
        right = np.zeros((side, side), int)
        if 0 <= iy - wy < side and 0 <= ix - wx < side:
            right[iy - wy, ix - wx] = transform.scale
        np.testing.assert_array_equal(both(transform.outputs, sums), right)


def both(matrix: NDArray[np.int64], values: NDArray[np.int64]) -> NDArray[np.int64]:
    """A transform along both axes."""
    made: NDArray[np.int64] = matrix @ values @ matrix.T
    return made


@every_transform
def test_no_transformed_byte_or_weight_exceeds_16_bits_nor_a_pair_of_products_32(transform: Transform) -> None:
    largest = np.abs(transform.inputs).sum(1).max() ** 2 * LARGEST_INPUT
    weight = np.abs(transform.weights).sum(1).max() ** 2 * 127
    assert max(largest, weight) < 2**15
    assert 2 * largest * weight < 2**31


@every_transform
@pytest.mark.parametrize("times", [-1, 1])
def test_the_largest_sum_is_exact_modulo_32_bits_and_the_next_is_not(transform: Transform, times: int) -> None:
    inverse = pow(transform.odd, -1, 2**32)

    def back(sum_: int) -> int:
        """As the kernel does it: to 32 bits, times the inverse, and shifted with its sign."""
        return int(np.uint32(sum_ * transform.scale * inverse % 2**32).astype(np.int32)) >> transform.shift

    for sum_ in (0, 1, transform.largest - 1, transform.largest):
        assert back(times * sum_) == times * sum_
    assert back(transform.largest + 1) != transform.largest + 1


@every_transform
def test_weights_whose_sums_may_be_too_large_are_known(transform: Transform) -> None:
    kernel = transform.kernel
    most = transform.largest // LARGEST_INPUT
    channels = most // (127 * kernel**2) + 1
    weights = np.full((3, channels, kernel, kernel), 1, np.int8)
    weights[1] = -127
    assert not is_exact(weights, transform)
    weights[1, -1] = 0
    assert is_exact(weights, transform)


@pytest.mark.parametrize("unit", [1, 2])
@every_transform
def test_weights_are_transformed_in_the_order_of_the_kernel(transform: Transform, unit: int) -> None:
    weights = np.random.default_rng(0).integers(-127, 128, (40, 12, transform.kernel, transform.kernel), np.int8)
    made = transform_weights(weights, Tensor(16, 32, 1, 0), transform, unit)
    assert made.shape == (2, transform.patch**2, 32 // unit, 32, unit)
    for output, channel in ((0, 0), (31, 11), (39, 4)):
        right = both(transform.weights, weights[output, channel].astype(int)).ravel()
        np.testing.assert_array_equal(made[output // 32, :, channel // unit, output % 32, channel % unit], right)
    assert not made[:, :, 12 // unit :].any()  # channels that only fill
    assert not made[1, :, :, 8:].any()


@pytest.mark.parametrize("size", range(4, 20))
@every_transform
def test_tiles_read_no_further_than_the_border_and_write_each_place_once(transform: Transform, size: int) -> None:
    source, made = Tensor(size, 32, 1, 0), Tensor(size, 64, 1, 0)
    tiles = tiles_of(source, 1, made, transform)
    reach = transform.patch - 1
    last = source.place(size, size) if transform.kernel == 3 else source.place(size + 1, size + 1)
    assert tiles.input_offsets.min() == 0
    assert tiles.input_offsets.max() + (reach * source.pitch + reach) * source.channels == last
    side = np.arange(size)
    places = made.place(side[:, np.newaxis], side)
    assert sorted(tiles.output_offsets[tiles.output_offsets >= 0]) == sorted(places.ravel())


def layer(channels: int, size: int, outputs: int | None = None, **changes: object) -> Convolution:
    weights = np.ones((outputs or channels, channels, 3, 3), np.int8)
    return convolution("layer", "source", weights, size, **{"padding": 1, **changes})


def chosen(instructions: Instructions, found: Convolution, size: int | None = None) -> Transform | None:
    source = Tensor(size or found.size, found.weights.shape[1], 2, found.input_quantisation.zero_point)
    return choose_transform(found, source, LAYOUTS[instructions])


@pytest.mark.parametrize("instructions", OF_SMALL_HOSTS)
def test_large_maps_take_large_tiles_and_small_maps_the_direct_convolution(instructions: Instructions) -> None:
    assert chosen(instructions, layer(64, 24)) is FOUR
    assert chosen(instructions, layer(128, 28)) is FOUR
    assert chosen(instructions, layer(256, 6)) is TWO
    assert chosen(instructions, layer(512, 7)) is None
    assert chosen(instructions, layer(512, 8)) is None
    assert chosen(instructions, layer(512, 3)) is None
    assert chosen(instructions, stem(96, 64)) is THREE


@pytest.mark.parametrize("instructions", OF_BYTES)
def test_where_a_byte_is_multiplied_twice_as_fast_only_large_maps_take_it(instructions: Instructions) -> None:
    assert chosen(instructions, layer(64, 24)) is FOUR
    assert chosen(instructions, layer(128, 28)) is FOUR
    assert chosen(instructions, layer(256, 14)) is None
    assert chosen(instructions, layer(512, 7)) is None


def test_channels_that_would_only_fill_a_vector_are_not_transformed() -> None:
    assert chosen("vnni", stem(96, 64)) is None  # 12 of 32
    assert chosen("avxvnni", stem(96, 64)) is THREE  # of 16


@pytest.mark.parametrize("instructions", WITH_WINOGRAD)
def test_only_kernels_of_3_and_4_with_a_stride_of_1_take_it(instructions: Instructions) -> None:
    assert chosen(instructions, layer(64, 12, stride=2), size=24) is None
    assert chosen(instructions, replace(layer(64, 24), weights=np.ones((64, 64, 1, 1), np.int8), padding=0)) is None
    assert chosen(instructions, layer(64, 22, padding=0), size=24) is None
    assert chosen(instructions, layer(64, 3)) is not FOUR  # it is less than a tile


@pytest.mark.parametrize("instructions", [name for name in LAYOUTS if name not in WITH_WINOGRAD])
def test_no_other_instruction_set_takes_it(instructions: Instructions) -> None:
    assert chosen(instructions, layer(64, 24)) is None


@pytest.mark.parametrize("instructions", WITH_WINOGRAD)
def test_sums_too_large_for_large_tiles_take_small_ones(instructions: Instructions) -> None:
    channels = FOUR.largest // (LARGEST_INPUT * 127 * 9) // 32 * 32 + 32
    found = layer(channels, 24)
    assert chosen(instructions, found) is FOUR
    assert chosen(instructions, replace(found, weights=found.weights * 127)) is TWO


def transformed(found: Network, instructions: Instructions, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """The plan where the direct convolution takes for ever, so that small maps take Winograd's, too."""
    with monkeypatch.context() as slow:
        slow.setitem(LAYOUTS, instructions, LAYOUTS[instructions]._replace(direct=1e-9))
        return lay_out(found, instructions)


def direct(found: Network, instructions: Instructions, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """The plan without Winograd's convolution."""
    with monkeypatch.context() as without:
        without.setattr("runtime.native.memory_planner.choose_transform", lambda *_: None)
        return lay_out(found, instructions)


def extreme(size: int, zero_point: int, weight: int, channels: int = 40) -> Network:
    """A residual block whose sums are as large as they can be; some channels only fill, and maps may be odd."""
    around = Quantisation(np.float32(1), zero_point)
    weights = np.full((channels, 12, 4, 4), weight, np.int8)
    weights[::3] = -weights[::3]
    first = convolution(
        "stem", "blocks", weights, size, padding=2, input_quantisation=around, quantisation=around,
        scales=np.full(channels, 1e-2, np.float32),
    )  # fmt: skip
    inner = np.full((channels, channels, 3, 3), weight, np.int8)
    inner[::2] = -inner[::2]
    small = np.full(channels, 1e-4, np.float32)
    fields = {"padding": 1, "input_quantisation": around, "quantisation": around, "scales": small}
    second = convolution("second", "stem", inner, size, **fields)
    third = convolution("third", "second", inner[::-1], size, **fields)
    own = Quantisation(np.float32(0.7), 3)
    return network(2 * size, [first, second, replace(third, residual=Residual("stem", around, own))])


@every_way
@pytest.mark.parametrize("weight", [127, -127])
@pytest.mark.parametrize("zero_point", [0, 114, 255])
@pytest.mark.parametrize("size", thorough_but((5, 24), (4, 5, 7, 10, 24)))
def test_the_largest_sums_are_those_of_the_direct_convolution(
    size: int,
    zero_point: int,
    weight: int,
    variant: tuple[Instructions, Instructions],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = extreme(size, zero_point, weight)
    library, layout = variant_of(variant)
    plan = transformed(found, layout, monkeypatch)
    assert WINOGRAD in {step.kind for step in plan.steps}
    pixels = photos(3, 2 * size)
    pixels[1] = 255
    for ours, theirs in zip(
        layers_bytes(plan, library, pixels),
        layers_bytes(direct(found, layout, monkeypatch), library, pixels),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)


@every_way
def test_threads_that_share_its_blocks_make_the_same_bytes(variant: tuple[Instructions, Instructions]) -> None:
    library, layout = variant_of(variant)
    size = 64
    plan, pixels = plan_of(model_of(size), ImageSpec(height=size, width=size), CLASSES, layout), photos(3, size)
    pool = library.pool_create(3)
    try:
        alone = layers_bytes(plan, library, pixels)
        for ours, theirs in zip(layers_bytes(plan, library, pixels, pool), alone, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    finally:
        library.pool_destroy(pool)


@pytest.mark.parametrize("seed", thorough_but(range(4), range(12)))
@every_way
def test_random_networks_give_the_same_bytes_with_every_transform(
    seed: int, variant: tuple[Instructions, Instructions], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = random_network(seed)
    library, layout = variant_of(variant)
    pixels = photos(2, found.image_size)
    right = list(layers_bytes(direct(found, layout, monkeypatch), library, pixels))
    for transforms in ({TWO.side: TWO}, {THREE.side: THREE, FOUR.side: FOUR}):
        with monkeypatch.context() as only:
            only.setattr("runtime.native.winograd.TRANSFORMS", transforms)
            plan = transformed(found, layout, monkeypatch)
        for ours, theirs in zip(layers_bytes(plan, library, pixels), right, strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.fixture(params=WITH_WINOGRAD)
def plan(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Plan:
    return transformed(extreme(12, 114, 3), request.param, monkeypatch)


NUMBERS = ("channels", "tiles", "rows", "side")


def assert_refused(plan: Plan, number: int, **changes: int) -> None:
    """With a number of a step changed, which is put back."""
    step = plan.steps[number]
    right = {name: getattr(step, name) for name in changes}
    for name, value in changes.items():
        setattr(step, name, value)
    with pytest.raises(UnknownGraphError, match=r"step \d+ of its plan \(.+\) "):
        check(plan)
    for name, value in right.items():
        setattr(step, name, value)


def test_a_number_that_was_changed_is_found(plan: Plan) -> None:
    for number, step in enumerate(plan.steps):
        if step.kind not in {WINOGRAD_INPUT, WINOGRAD}:
            continue
        more = ("outputs", "k_steps", "unit", "lanes", "group_bytes") if step.kind == WINOGRAD else ()
        for name in (*NUMBERS, *more):
            for wrong in {getattr(step, name) + 1, -1, 0, -LARGEST, LARGEST} - {getattr(step, name)}:
                assert_refused(plan, number, **{name: wrong})
        for name in ("input", "output"):
            for wrong in {-1, len(plan.buffers), LIST_BUFFER} - {getattr(step, name)}:
                assert_refused(plan, number, **{name: wrong})
        if step.kind == WINOGRAD:
            assert_refused(plan, number, residual=step.output)
        else:
            assert_refused(plan, number, row_stride=-1)
            assert_refused(plan, number, row_stride=LARGEST)
    check(plan)


def test_tiles_of_another_side_than_the_transformed_ones_are_found(plan: Plan) -> None:
    numbers = [number for number, step in enumerate(plan.steps) if step.kind == WINOGRAD]
    assert numbers
    for number in numbers:
        for side, transform in TRANSFORMS.items():
            if side != plan.steps[number].side:
                assert_refused(plan, number, side=side, rows=side**2)
                assert_refused(plan, number - 1, side=side, rows=transform.patch)


def test_an_offset_that_was_changed_is_found(plan: Plan) -> None:
    for step in plan.steps:
        names = {WINOGRAD_INPUT: ("k_offsets", "input_offsets"), WINOGRAD: ("output_offsets",)}.get(step.kind, ())
        for name in names:
            offsets: NDArray[np.int32] = plan.arrays[getattr(step, name)]  # type: ignore[assignment]
            for wrong in (-2, -LARGEST, LARGEST, 2 * max(buffer.bytes for buffer in plan.buffers)):
                place = int(np.argmax(offsets))
                right, offsets[place] = offsets[place], wrong
                with pytest.raises(UnknownGraphError, match=REFUSED + "(reads|writes|does not write)"):
                    check(plan)
                offsets[place] = right
    check(plan)


def test_an_array_of_another_length_or_place_is_found(plan: Plan) -> None:
    names = {
        WINOGRAD_INPUT: ("k_offsets", "input_offsets"),
        WINOGRAD: ("output_offsets", "weights", "bias", "scale"),
    }
    for number, step in enumerate(plan.steps):
        for name in names.get(step.kind, ()):
            address = getattr(step, name)
            right = plan.arrays[address]
            plan.arrays[address] = right[:-1]
            with pytest.raises(UnknownGraphError, match=REFUSED + "has no .* entries"):
                check(plan)
            plan.arrays[address] = right
            assert_refused(plan, number, **{name: address + 1})


def test_a_convolution_without_the_step_that_transforms_its_input_is_found(plan: Plan) -> None:
    number = next(number for number, step in enumerate(plan.steps) if step.kind == WINOGRAD)
    assert_refused(plan, number - 1, kind=WINOGRAD)
    assert_refused(plan, number, kind=WINOGRAD_INPUT)


def test_a_buffer_that_would_move_the_next_one_from_its_cache_line_is_found(plan: Plan) -> None:
    plan.buffers.append(Scratch(CACHE_LINE))
    check(plan)
    plan.buffers[-1] = Scratch(CACHE_LINE - 16)
    with pytest.raises(UnknownGraphError, match=REFUSED + "has buffers that do not begin with a cache line"):
        check(plan)


def test_a_buffer_of_transformed_inputs_that_is_too_small_is_found(plan: Plan) -> None:
    plan.buffers[WIDE_BUFFER] = Scratch(plan.buffers[WIDE_BUFFER].bytes - CACHE_LINE)
    with pytest.raises(UnknownGraphError, match=REFUSED + "transforms bytes 0 to"):
        check(plan)


def test_an_instruction_set_without_it_is_refused_the_step(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LAYOUTS, plan.instructions, LAYOUTS[plan.instructions]._replace(winograd=0))
    with pytest.raises(UnknownGraphError, match=r"tiles of \d x \d outputs"):
        check(plan)
