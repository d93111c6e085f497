"""Every layer's bytes are those of onnxruntime's exact INT8 arithmetic, with every variant of the kernel."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from runtime.image import ImageSpec
from runtime.inference.native_session import _Workspace, plan_of
from runtime.inference.onnxruntime_session import session_options
from runtime.native.layout import Instructions
from runtime.native.onnx_importer import Network, read_network
from runtime.native.onnx_protobuf import read_graph
from runtime.native.steps import CONVOLUTION, MAX_POOLING, Plan
from runtime.native.weight_packing import Tensor
from tests.runtime.native.models import CLASSES, Variant, every_variant, model_of, photos, variant_of

PHOTOS = 2


def expected(content: bytes, network: Network, pixels: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """onnxruntime's bytes of each layer, [N, channels, size, size]."""
    model = onnx.load_from_string(content)
    names = [layer.output for layer in network.layers]
    model.graph.output.extend(onnx.helper.make_tensor_value_info(each, onnx.TensorProto.UINT8, None) for each in names)
    options = session_options(1)
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(names, {"pixels": pixels})


def layers_bytes(
    plan: Plan, variant: Variant, pixels: NDArray[np.uint8], numbers: Sequence[int]
) -> Iterator[NDArray[np.uint8]]:
    """The kernel's bytes of the output of each of these steps, [N, size, size, channels], as soon as it has run."""
    workspace = _Workspace(plan, variant.library, len(pixels))
    scores = np.empty((len(pixels), CLASSES, plan.map_size, plan.map_size), np.float32)
    for begin, number in pairwise([-1, *numbers]):
        workspace._job.steps = ctypes.addressof(plan.steps[begin + 1])
        workspace._job.count = number - begin
        workspace.run(variant.library, pixels, scores, None)
        yield output_bytes(plan, workspace, len(pixels), number)


def output_bytes(plan: Plan, workspace: _Workspace, photos: int, number: int) -> NDArray[np.uint8]:
    step = plan.steps[number]
    tensor = plan.buffers[step.output]
    assert isinstance(tensor, Tensor)
    address = int(workspace._addresses[step.output])
    memory = np.array((ctypes.c_uint8 * (tensor.bytes * photos)).from_address(address)).reshape(photos, -1)
    side = np.arange(tensor.size)
    first = tensor.place(side[:, np.newaxis], side)
    return memory[:, first[..., np.newaxis] + np.arange(tensor.channels)]


@pytest.mark.parametrize(
    ("size", "widths", "shuffled"),
    [(32, (), False), (50, (), True), (64, (32, 16, 48, 80, 16, 208, 96, 16), False), (64, (), True)],
)
@every_variant
def test_every_byte_of_every_layer_is_onnxruntimes(
    variant: tuple[Instructions, Instructions], size: int, widths: tuple[int, ...], shuffled: bool
) -> None:
    found = variant_of(variant)
    content, spec = model_of(size, widths=widths, shuffled=shuffled), ImageSpec(height=size, width=size)
    network, plan = read_network(read_graph(content), spec, CLASSES), plan_of(content, spec, CLASSES, found.layout)
    pixels = photos(PHOTOS, size)
    layers = [i for i, step in enumerate(plan.steps) if step.kind in {CONVOLUTION, MAX_POOLING}]
    assert len(layers) == len(network.layers) == 21
    found_bytes = layers_bytes(plan, found, pixels, layers)
    for number, each, theirs in zip(layers, found_bytes, expected(content, network, pixels), strict=True):
        ours = each.transpose(0, 3, 1, 2)
        np.testing.assert_array_equal(ours[:, : theirs.shape[1]], theirs, err_msg=f"step {number}")
