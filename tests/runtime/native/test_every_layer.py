"""Every layer's bytes are those of onnxruntime's exact INT8 arithmetic, with every variant of the kernel."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from runtime.image import ImageSpec
from runtime.inference.native_session import plan_of
from runtime.inference.onnxruntime_session import session_options
from runtime.native.layout import Instructions
from runtime.native.onnx_importer import Network, read_network
from runtime.native.onnx_protobuf import read_graph
from tests.runtime.native.layers import layers_bytes
from tests.runtime.native.models import CLASSES, every_variant, model_of, photos, variant_of

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


@pytest.mark.parametrize(
    ("size", "widths", "shuffled"),
    [
        pytest.param(32, (), False, marks=pytest.mark.thorough),
        (50, (), True),
        (64, (32, 16, 48, 80, 16, 208, 96, 16), False),
        pytest.param(64, (), True, marks=pytest.mark.thorough),
    ],
)
@every_variant
def test_every_byte_of_every_layer_is_onnxruntimes(
    variant: tuple[Instructions, Instructions], size: int, widths: tuple[int, ...], shuffled: bool
) -> None:
    found = variant_of(variant)
    content, spec = model_of(size, widths=widths, shuffled=shuffled), ImageSpec(height=size, width=size)
    network, plan = read_network(read_graph(content), spec, CLASSES), plan_of(content, spec, CLASSES, found.layout)
    pixels = photos(PHOTOS, size)
    found_bytes = list(layers_bytes(plan, found.library, pixels))
    assert len(found_bytes) == len(network.layers) == 21
    for layer, each, theirs in zip(network.layers, found_bytes, expected(content, network, pixels), strict=True):
        ours = each.transpose(0, 3, 1, 2)
        np.testing.assert_array_equal(ours[:, : theirs.shape[1]], theirs, err_msg=layer.output)
