"""Reading the graph: what `export` writes is understood, and nothing else is taken for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from runtime.bundle import Bundle
from runtime.default import default_bundle
from runtime.image import ImageSpec
from runtime.native.model_file import read_graph
from runtime.native.network import Convolution, Network, UnknownGraphError, read_network
from runtime.native.plan import lay_out

SPEC = ImageSpec(height=96, width=96)


@pytest.fixture
def model() -> onnx.ModelProto:
    return onnx.load(Bundle.open(default_bundle()).model)


def network_of(model: onnx.ModelProto, spec: ImageSpec = SPEC, classes: int = 2) -> Network:
    return read_network(read_graph(model.SerializeToString()), spec, classes)


def node(model: onnx.ModelProto, operation: str, number: int = 0) -> onnx.NodeProto:
    return [each for each in model.graph.node if each.op_type == operation][number]


def constant(model: onnx.ModelProto, name: str) -> onnx.TensorProto:
    return next(each for each in model.graph.initializer if each.name == name)


def change(model: onnx.ModelProto, name: str, value: np.ndarray) -> None:
    constant(model, name).CopyFrom(numpy_helper.from_array(value, name))


def attribute(each: onnx.NodeProto, name: str, value: int | list[int]) -> None:
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
    assert network.weights.shape == (2, 512)
    assert network.temperature == pytest.approx(Bundle.open(default_bundle()).manifest.temperature)


CHANGES: dict[str, Callable[[onnx.ModelProto], None]] = {
    "it holds Relu": lambda model: setattr(node(model, "MaxPool"), "op_type", "Relu"),
    "is another pooling": lambda model: attribute(node(model, "MaxPool"), "strides", [1, 1]),
    "relu_1 is another convolution": lambda model: attribute(node(model, "Conv", 1), "dilations", [2, 2]),
    "relu is another convolution": lambda model: attribute(node(model, "Conv"), "pads", [2, 1, 1, 1]),
    "relu_5 is another convolution": lambda model: attribute(node(model, "Conv", 5), "strides", [2, 1]),
    "blocks of 2 x 2 pixels": lambda model: attribute(node(model, "Transpose"), "perm", [0, 1, 2, 3, 4, 5]),
    "its classifier is another one": lambda model: change(
        model, node(model, "ReduceMean").input[1], np.array([1, 2], np.int64)
    ),
    "adds to something else": lambda model: node(model, "Add").input.__setitem__(0, node(model, "Add").input[1]),
    "it ends with": lambda model: setattr(node(model, "Softmax"), "op_type", "Sigmoid"),
}


@pytest.mark.parametrize("sentence", CHANGES)
def test_another_graph_is_left_to_onnxruntime(model: onnx.ModelProto, sentence: str) -> None:
    CHANGES[sentence](model)
    with pytest.raises(UnknownGraphError, match=sentence):
        network_of(model)


def test_zero_points_of_weights_are_left_to_onnxruntime(model: onnx.ModelProto) -> None:
    name = next(each.input[2] for each in model.graph.node if "body.0.0.conv1.weight" in each.input[0])
    change(model, name, np.full(numpy_helper.to_array(constant(model, name)).shape, 1, np.int8))
    with pytest.raises(UnknownGraphError, match="is another convolution"):
        network_of(model)


@pytest.mark.parametrize(
    ("spec", "classes"), [(ImageSpec(height=128, width=128), 2), (ImageSpec(height=96, width=64), 2), (SPEC, 3)]
)
def test_a_manifest_that_says_otherwise_is_left_to_onnxruntime(
    model: onnx.ModelProto, spec: ImageSpec, classes: int
) -> None:
    with pytest.raises(UnknownGraphError):
        network_of(model, spec, classes)


def test_weights_of_another_shape_are_left_to_onnxruntime(model: onnx.ModelProto) -> None:
    name = next(each.input[0] for each in model.graph.node if "body.0.0.conv1.weight" in each.input[0])
    change(model, name, np.zeros((64, 32, 3, 3), np.int8))
    with pytest.raises(UnknownGraphError, match="is a convolution of another shape"):
        lay_out(network_of(model), "vnni")


def test_a_damaged_file_is_refused_and_breaks_nothing(model: onnx.ModelProto, tmp_path: Path) -> None:
    content = model.SerializeToString()
    generator = np.random.default_rng(0)
    for _ in range(150):
        damaged = bytearray(content[: generator.integers(0, len(content))] if generator.random() < 0.3 else content)
        # Mostly in what describes the weights: those are most of the file, and any values of them are valid.
        for at in generator.integers(0, max(1, min(len(damaged), 30_000)), 3):
            if damaged:
                damaged[at] = generator.integers(0, 256)
        try:
            lay_out(read_network(read_graph(bytes(damaged)), SPEC, 2), "vnni")
        except ValueError:
            continue
