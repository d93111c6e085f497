"""Channels in another order: the same answers, and fewer steps that are needed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from export.channels.activation_tiles import Tiling, activations, convolutions, multiply_adds, needed_share
from export.channels.channel_groups import channel_groups, permute
from export.channels.channel_order import BLOCK, ROWS, TILINGS, find_order
from export.channels.reorder import find_orders, reorder
from runtime.image import ImageSpec
from runtime.inference.native_session import NativeSession
from runtime.inference.onnxruntime_session import OnnxruntimeSession
from runtime.native.onnx_importer import Convolution, Quantisation
from runtime.teaching.onnx_head import WEIGHTS
from tests.runtime.native.models import CLASSES, library_of, model_of, photos, plan_of

SIZE = 64
WIDTHS = {0: (), 1: (40, 64, 21, 128, 96, 250, 512, 33), 2: (1, 7, 8, 9, 31, 32, 130, 511)}


def answers(model: bytes, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    session = OnnxruntimeSession(model, ImageSpec(height=SIZE, width=SIZE), CLASSES, threads=1, exact=True)
    return session.infer(pixels).probabilities


def smooth_photos(count: int) -> NDArray[np.uint8]:
    """Photos with the same colour over many places, as real ones have."""
    coarse = np.random.default_rng(count).integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    return coarse.repeat(SIZE // 4, axis=1).repeat(SIZE // 4, axis=2)


@cache
def network(seed: int) -> onnx.ModelProto:
    return onnx.load_from_string(model_of(SIZE, widths=WIDTHS[seed], shuffled=True))


def copied(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def random_orders(model: onnx.ModelProto, seed: int) -> list[NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    return [generator.permutation(group.channels) for group in channel_groups(model)]


@pytest.mark.parametrize("seed", WIDTHS)
def test_any_order_of_channels_gives_the_same_answers_from_the_same_bytes(seed: int) -> None:
    before, pixels = network(seed), photos(4, SIZE)
    after, orders = copied(before), random_orders(before, seed)
    permute(after, orders)
    onnx.checker.check_model(after, full_check=True)
    assert after.SerializeToString() != before.SerializeToString()
    said = [answers(model.SerializeToString(), pixels) for model in (before, after)]
    assert np.abs(said[0] - said[1]).max() < 1e-6
    order_of = {
        name: order for group, order in zip(channel_groups(before), orders, strict=True) for name in group.tensors
    }
    layers = convolutions(before, SIZE)
    found, moved = (activations(model, layers, pixels) for model in (before, after))
    assert found.keys() == moved.keys() <= order_of.keys()
    for name, values in found.items():
        assert np.array_equal(values[..., order_of[name]], moved[name]), name


@pytest.mark.parametrize("seed", WIDTHS)
def test_the_native_kernel_gives_the_same_answers_too(seed: int) -> None:
    before, pixels = network(seed), photos(2, SIZE)
    after = copied(before)
    permute(after, random_orders(before, seed))
    said = []
    for model in (before, after):
        plan = plan_of(model.SerializeToString(), ImageSpec(height=SIZE, width=SIZE), CLASSES, "vnni")
        said.append(NativeSession(plan, library_of("reference"), threads=1).infer(pixels).probabilities)
    assert np.abs(said[0] - said[1]).max() < 1e-6


def test_permuting_back_gives_the_same_constants() -> None:
    before = network(1)
    after, orders = copied(before), random_orders(before, 1)
    permute(after, orders)
    permute(after, [np.argsort(order) for order in orders])
    for was, now in zip(before.graph.initializer, after.graph.initializer, strict=True):
        assert was.name == now.name
        assert np.array_equal(onnx.numpy_helper.to_array(was), onnx.numpy_helper.to_array(now)), was.name


def test_what_is_no_order_is_refused() -> None:
    orders = random_orders(network(0), 0)
    orders[3][0] = orders[3][1]
    with pytest.raises(ValueError, match="no order of 128 channels"):
        permute(copied(network(0)), orders)
    with pytest.raises(ValueError, match="shorter"):
        permute(copied(network(0)), random_orders(network(0), 0)[:-1])


def test_channels_that_are_added_are_in_one_group_and_the_outputs_in_none() -> None:
    groups = channel_groups(network(0))
    assert [group.channels for group in groups] == [64, 64, 64, 128, 128, 128, 256, 256, 256, 512, 512, 512]
    stream = {name for name, axis in groups[0].axes if name.endswith("weight_quantized") and axis == 0}
    assert stream == {f"{name}.weight_quantized" for name in ("stem", "body.0.0.conv2", "body.0.1.conv2")}
    assert not any(axis == (WEIGHTS, 0) for group in groups for axis in group.axes)


def test_a_convolution_of_groups_and_an_addition_of_other_channels_are_refused() -> None:
    model = copied(network(0))
    next(node for node in model.graph.node if node.op_type == "Conv").attribute.append(
        onnx.helper.make_attribute("group", 2)
    )
    with pytest.raises(ValueError, match="is a convolution of groups"):
        channel_groups(model)
    model = copied(network(0))
    addition = next(node for node in model.graph.node if node.op_type == "Add")
    pooled = next(node for node in model.graph.node if node.op_type == "MaxPool").output[0]
    later = [node for node in model.graph.node if node.op_type == "Add"][2]
    assert pooled != addition.output[0]
    later.input[1] = pooled
    with pytest.raises(ValueError, match="tensors of 128 and 64 channels are added"):
        channel_groups(model)


@pytest.mark.parametrize("seed", WIDTHS)
def test_no_photo_that_was_looked_at_needs_more_by_the_order_that_is_found(seed: int) -> None:
    model, pixels = network(seed), smooth_photos(6)
    layers = convolutions(model, SIZE)
    orders, needed = find_orders(model, pixels)
    seen = activations(model, layers, pixels)
    for group, order in zip(channel_groups(model), orders, strict=True):
        readers = [layer for layer in layers if layer.input in group.tensors]
        shares = [
            sum(
                multiply_adds(layer) * needed_share(layer, seen[layer.input][..., each] != 0, tiling).mean()
                for layer in readers
                for tiling in TILINGS
            )
            for each in (np.arange(group.channels), order)
        ]
        assert shares[1] <= shares[0]
    assert needed.photos == 1
    assert all(0 < needed.after[tiling] <= 1 for tiling in TILINGS)
    assert "3/2 0." in str(needed)


def test_the_default_network_needs_fewer_steps_and_always_the_same_order_is_found() -> None:
    pixels = smooth_photos(8)
    models = [onnx.load_from_string(model_of(SIZE)) for _ in range(2)]
    needed = [reorder(model, pixels) for model in models]
    assert all(needed[0].after[tiling] < needed[0].before[tiling] for tiling in TILINGS)
    assert needed[0] == needed[1]
    assert models[0].SerializeToString() == models[1].SerializeToString()


def test_features_keep_their_places_where_they_must() -> None:
    before, after = (onnx.load_from_string(model_of(SIZE)) for _ in range(2))
    reorder(after, smooth_photos(8), features_too=False)
    heads = [
        next(each.raw_data for each in model.graph.initializer if each.name == WEIGHTS) for model in (before, after)
    ]
    assert heads[0] == heads[1]
    assert before.SerializeToString() != after.SerializeToString()


def test_an_order_that_needs_more_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    model, pixels = onnx.load_from_string(model_of(SIZE)), smooth_photos(8)
    reorder(model, pixels)

    def worse(samples: Mapping[int, NDArray[np.bool_]]) -> NDArray[np.int64]:
        return np.random.default_rng(0).permutation(samples[ROWS[0]].shape[1])

    monkeypatch.setattr("export.channels.reorder.find_order", worse)
    orders, needed = find_orders(model, pixels)
    assert all(np.array_equal(order, np.arange(len(order))) for order in orders)
    assert needed.before == needed.after


@pytest.mark.parametrize("seed", range(12))
def test_channels_that_are_zero_together_are_found(seed: int) -> None:
    """Clusters of eight, hidden by a shuffle, some of them with less than eight channels."""
    generator = np.random.default_rng(seed)
    clusters = int(generator.integers(2, 12))
    channels = BLOCK * clusters - int(generator.integers(0, BLOCK))
    cluster_of = generator.permutation(np.arange(channels) // BLOCK)
    samples = {rows: (generator.random((500, clusters)) < 0.3)[:, cluster_of] for rows in ROWS}
    order = find_order(samples)
    assert np.array_equal(np.sort(order), np.arange(channels))
    assert np.array_equal(order, find_order(samples))
    for rows, products in TILINGS:
        assert steps(samples[rows][:, order], products) == steps(samples[rows][:, np.argsort(cluster_of)], products)


@pytest.mark.parametrize("seed", range(12))
def test_an_order_that_is_found_needs_no_more_of_what_it_was_found_from(seed: int) -> None:
    generator = np.random.default_rng(seed)
    channels = int(generator.integers(1, 100))
    often = generator.random((1, channels)) ** 2
    samples = {rows: generator.random((300, channels)) < often for rows in ROWS}
    order = find_order(samples)
    assert np.array_equal(np.sort(order), np.arange(channels))
    now, then = (
        sum(products * steps(samples[rows][:, each], products) for rows, products in TILINGS)
        for each in (np.arange(channels), order)
    )
    assert then <= now


def steps(found: NDArray[np.bool_], products: int) -> int:
    filled = np.pad(found, ((0, 0), (0, -found.shape[1] % products)))
    return int(filled.reshape(len(filled), -1, products).any(axis=2).sum())


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 1), (3, 2, 1), (1, 2, 0), (1, 1, 0)])
@pytest.mark.parametrize("tiling", [Tiling(3, 2), Tiling(6, 8), Tiling(12, 4)])
def test_the_share_is_that_of_counting_tile_by_tile(kernel: int, stride: int, padding: int, tiling: Tiling) -> None:
    generator = np.random.default_rng(kernel + stride)
    nonzero = generator.random((2, 7, 7, 12)) < 0.1
    size = (7 + 2 * padding - kernel) // stride + 1
    whatever = Quantisation(np.float32(1), 0)
    weights, scales, bias = np.zeros((5, 12, kernel, kernel), np.int8), np.ones(5, np.float32), np.zeros(5, np.int32)
    layer = Convolution("x", "y", weights, scales, bias, stride, padding, size, whatever, whatever)
    padded = np.pad(nonzero, ((0, 0), (9, 9), (9, 9), (0, 20)))  # 32 channels, as the kernel has them
    expected = []
    for photo in padded:
        needed = []
        for start in range(0, size**2, tiling.rows):
            outputs = [divmod(i, size) for i in range(start, min(start + tiling.rows, size**2))]
            for y, x, step in np.ndindex(kernel, kernel, 32 // tiling.products):
                part = slice(step * tiling.products, (step + 1) * tiling.products)
                needed.append(
                    any(
                        photo[9 + stride * i - padding + y, 9 + stride * j - padding + x, part].any()
                        for i, j in outputs
                    )
                )
        expected.append(np.mean(needed))
    assert np.allclose(needed_share(layer, nonzero, tiling), expected)
