"""Reading the graph: what `export` writes is understood, and nothing else is taken for it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import Bundle
from runtime.image import ImageSpec
from runtime.inference.native_session import plan_of
from runtime.native.onnx_importer import Convolution, Network, UnknownGraphError, read_network
from runtime.native.onnx_protobuf import read_graph
from tests.runtime.native.planning.test_memory_planner import assert_inside
from tests.support.suite.repeats import repeats

SPEC = ImageSpec(height=128, width=128)


@pytest.fixture
def model() -> onnx.ModelProto:
    return onnx.load(Bundle.open(default_bundle()).model)


def network_of(model: onnx.ModelProto, spec: ImageSpec = SPEC, classes: int = 3) -> Network:
    return read_network(read_graph(model.SerializeToString()), spec, classes)


def node(model: onnx.ModelProto, operation: str, number: int = 0) -> onnx.NodeProto:
    return [each for each in model.graph.node if each.op_type == operation][number]


def constant(model: onnx.ModelProto, name: str) -> onnx.TensorProto:
    return next(each for each in model.graph.initializer if each.name == name)


def change(model: onnx.ModelProto, name: str, value: np.ndarray) -> None:
    constant(model, name).CopyFrom(numpy_helper.from_array(value, name))


def attribute(each: onnx.NodeProto, name: str, value: int | str | list[int]) -> None:
    kept = [other for other in each.attribute if other.name != name]
    del each.attribute[:]
    each.attribute.extend([*kept, helper.make_attribute(name, value)])


def test_every_constant_and_node_is_read_as_the_onnx_package_reads_it(model: onnx.ModelProto) -> None:
    graph = read_graph(model.SerializeToString())
    assert [each.operation for each in graph.nodes] == [each.op_type for each in model.graph.node]
    assert [each.inputs for each in graph.nodes] == [list(each.input) for each in model.graph.node]
    assert graph.constants.keys() == {each.name for each in model.graph.initializer}
    for each in model.graph.initializer:
        np.testing.assert_array_equal(graph.constants[each.name], numpy_helper.to_array(each))
    pads = [each.attributes["pads"] for each in graph.nodes if each.operation == "Conv"]
    assert pads[:2] == [[2, 2, 1, 1], [1, 1, 1, 1]]
    assert (graph.inputs, graph.outputs) == (["pixels"], ["probabilities", "activation_map"])


def test_numbers_in_lists_are_read_as_those_in_bytes_are() -> None:
    values = [helper.make_tensor("i", onnx.TensorProto.INT8, [2], [-1, 5]),
              helper.make_tensor("l", onnx.TensorProto.INT64, [2], [-(2**40), 7]),
              helper.make_tensor("f", onnx.TensorProto.FLOAT, [], [0.5])]  # fmt: skip
    graph = helper.make_graph([], "g", [], [], values)
    constants = read_graph(helper.make_model(graph).SerializeToString()).constants
    assert {name: value.tolist() for name, value in constants.items()} == {"i": [-1, 5], "l": [-(2**40), 7], "f": 0.5}


def test_the_default_model_is_twenty_convolutions_and_a_pooling(model: onnx.ModelProto) -> None:
    network = network_of(model)
    convolutions = [layer for layer in network.layers if isinstance(layer, Convolution)]
    assert (len(convolutions), len(network.layers)) == (20, 21)
    assert sum(layer.residual is not None for layer in convolutions) == 8
    assert network.weights.shape == (3, 512)
    assert network.temperature == pytest.approx(Bundle.open(default_bundle()).manifest.temperature)


def parameter(model: onnx.ModelProto, words: str) -> onnx.NodeProto:
    """The node that dequantises the constant with these words in its name."""
    return next(each for each in model.graph.node if words in each.input[0])


def give(model: onnx.ModelProto, each: onnx.NodeProto, place: int, value: np.ndarray) -> None:
    """Another constant as one input of a node."""
    name = f"other {len(model.graph.initializer)}"
    model.graph.initializer.append(numpy_helper.from_array(value, name))
    each.input[place] = name


def name_of(model: onnx.ModelProto, operation: str, number: int) -> str:
    return node(model, operation, number).output[0]


BODY = "body.0.0.conv1"
CONVOLUTION, QUANTISED = "is another convolution", "is quantised in another way"
Change = Callable[[onnx.ModelProto], object]
CHANGES: dict[str, tuple[str, Change]] = {
    "another operation": ("holds Relu", lambda model: setattr(node(model, "MaxPool"), "op_type", "Relu")),
    "every place pooled": ("another pooling", lambda model: attribute(node(model, "MaxPool"), "strides", [1, 1])),
    "pooled with gaps": ("another pooling", lambda model: attribute(node(model, "MaxPool"), "dilations", [2, 2])),
    "dilated": (CONVOLUTION, lambda model: attribute(node(model, "Conv", 1), "dilations", [2, 2])),
    "lopsided": (CONVOLUTION, lambda model: attribute(node(model, "Conv"), "pads", [2, 1, 1, 1])),
    "padded by name": (CONVOLUTION, lambda model: attribute(node(model, "Conv", 1), "auto_pad", "SAME_UPPER")),
    "two strides": (CONVOLUTION, lambda model: attribute(node(model, "Conv", 5), "strides", [2, 1])),
    "backwards": (CONVOLUTION, lambda model: attribute(node(model, "Conv", 5), "strides", [-1, -1])),
    "standing still": (CONVOLUTION, lambda model: attribute(node(model, "Conv", 5), "strides", [0, 0])),
    "leaping": (CONVOLUTION, lambda model: attribute(node(model, "Conv", 5), "strides", [100, 100])),
    "much padding": ("of another shape", lambda model: attribute(node(model, "Conv", 1), "pads", [3] * 4)),
    "negative padding": ("of another shape", lambda model: attribute(node(model, "Conv", 1), "pads", [-1] * 4)),
    "pixels turned": ("blocks of 2 x 2", lambda model: attribute(node(model, "Transpose"), "perm", [0, 1, 2, 3, 4, 5])),
    "other pixels": ("blocks of 2 x 2", lambda model: node(model, "Reshape").input.__setitem__(0, "others")),
    "other axes": (
        "its classifier",
        lambda model: change(model, node(model, "ReduceMean").input[1], np.array([1, 2], np.int64)),
    ),
    "a classifier that strides": (
        "its classifier",
        lambda model: attribute(node(model, "Conv", 20), "strides", [2, 2]),
    ),
    "a softmax over photos": ("its classifier", lambda model: attribute(node(model, "Softmax"), "axis", 0)),
    "no softmax": ("it ends with", lambda model: setattr(node(model, "Softmax"), "op_type", "Sigmoid")),
    "added to itself": (
        "adds to something else",
        lambda model: node(model, "Add").input.__setitem__(0, node(model, "Add").input[1]),
    ),
    "a tensor that nobody makes": (
        "is no tensor of bytes",
        lambda model: model.graph.node.remove(node(model, "QuantizeLinear", 3)),
    ),
    "a name twice": (
        "two tensors are called",
        lambda model: node(model, "QuantizeLinear", 2).output.__setitem__(0, name_of(model, "QuantizeLinear", 1)),
    ),
    "read in another way than written": (
        "is read in two ways",
        lambda model: give(model, parameter(model, "max_pool2d_Quantize"), 2, np.array(5, np.uint8)),
    ),
    "signed bytes": (QUANTISED, lambda model: give(model, node(model, "QuantizeLinear"), 2, np.array(0, np.int8))),
    "a scale of 0": (QUANTISED, lambda model: give(model, node(model, "QuantizeLinear"), 1, np.array(0, np.float32))),
    "no zero point": ("cannot be read", lambda model: node(model, "QuantizeLinear").input.pop()),
    "scales of inputs": (QUANTISED, lambda model: attribute(parameter(model, f"{BODY}.weight"), "axis", 1)),
    "three scales": (
        QUANTISED,
        lambda model: give(model, parameter(model, f"{BODY}.weight"), 1, np.ones(3, np.float32)),
    ),
    "zero points": (QUANTISED, lambda model: give(model, parameter(model, f"{BODY}.weight"), 2, np.ones(64, np.int8))),
    "another bias": (
        QUANTISED,
        lambda model: give(model, parameter(model, f"{BODY}.bias"), 1, np.full(64, 7, np.float32)),
    ),
    "other channels": (
        "of another shape",
        lambda model: change(model, parameter(model, f"{BODY}.weight").input[0], np.zeros((64, 32, 3, 3), np.int8)),
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_another_graph_is_left_to_onnxruntime(model: onnx.ModelProto, what: str) -> None:
    sentence, alter = CHANGES[what]
    alter(model)
    with pytest.raises(UnknownGraphError, match=sentence):
        plan_of(model.SerializeToString(), SPEC, 3, "vnni")


@pytest.mark.parametrize(
    ("spec", "classes"), [(ImageSpec(height=96, width=96), 3), (ImageSpec(height=128, width=64), 3), (SPEC, 2)]
)
def test_a_manifest_that_says_otherwise_is_left_to_onnxruntime(
    model: onnx.ModelProto, spec: ImageSpec, classes: int
) -> None:
    with pytest.raises(UnknownGraphError):
        network_of(model, spec, classes)


def test_a_damaged_file_is_refused_and_breaks_nothing(model: onnx.ModelProto, tmp_path: Path) -> None:
    content = model.SerializeToString()
    generator = np.random.default_rng(0)
    for _ in range(repeats(150)):
        damaged = bytearray(content[: generator.integers(0, len(content))] if generator.random() < 0.3 else content)
        # Mostly in what describes the weights: those are most of the file, and any values of them are valid.
        for at in generator.integers(0, max(1, min(len(damaged), 30_000)), 3):
            if damaged:
                damaged[at] = generator.integers(0, 256)
        with suppress(UnknownGraphError):
            assert_inside(plan_of(bytes(damaged), SPEC, 3, "vnni"))
