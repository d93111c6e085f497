from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from runtime.teaching.onnx_head import features_of, with_head

FEATURES = 5


def headed(classes: int = 2, *, temperature: bool = True) -> onnx.ModelProto:
    """A graph that ends as a backbone's does: 1 x 1 convolution, mean, bias, temperature, softmax."""
    nodes = [
        helper.make_node("Conv", ["maps", "evidence.weight"], ["activation_map"]),
        helper.make_node("ReduceMean", ["activation_map", "axes"], ["mean"], keepdims=0),
        helper.make_node("Add", ["mean", "bias"], ["biased"]),
        helper.make_node("Div", ["biased", "temperature"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    constants = {
        "evidence.weight": np.ones((classes, FEATURES, 1, 1), np.float32),
        "bias": np.ones(classes, np.float32),
        "temperature": np.array(2.0, np.float32),
        "axes": np.array([2, 3]),
        "untouched": np.arange(3, dtype=np.int8),
    }
    graph = helper.make_graph(
        nodes if temperature else [*nodes[:3], helper.make_node("Softmax", ["biased"], ["probabilities"], axis=1)],
        "headed",
        [helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["n", FEATURES, 2, 2])],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", classes]),
            helper.make_tensor_value_info("activation_map", TensorProto.FLOAT, ["n", classes, 2, 2]),
        ],
        [
            numpy_helper.from_array(value, name)
            for name, value in constants.items()
            if temperature or name != "temperature"
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.mark.parametrize("classes", [2, 3, 200])
def test_a_new_head_is_what_the_onnx_package_would_have_written(classes: int) -> None:
    generator = np.random.default_rng(0)
    weights = generator.normal(size=(classes, FEATURES)).astype(np.float32)
    bias = generator.normal(size=classes).astype(np.float32)
    written = onnx.load_from_string(with_head(headed().SerializeToString(), weights, bias, 1.25))
    onnx.checker.check_model(written, full_check=True)
    found = {constant.name: numpy_helper.to_array(constant) for constant in written.graph.initializer}
    assert np.array_equal(found["evidence.weight"][:, :, 0, 0], weights)
    assert np.array_equal(found["bias"], bias)
    assert found["temperature"] == np.float32(1.25)
    assert found["untouched"].tolist() == [0, 1, 2]
    shapes = {
        output.name: [dim.dim_param or dim.dim_value for dim in output.type.tensor_type.shape.dim]
        for output in written.graph.output
    }
    assert shapes == {"probabilities": ["n", classes], "activation_map": ["n", classes, 2, 2]}


def test_the_same_head_gives_the_same_model() -> None:
    model = headed()
    weights, bias = np.ones((2, FEATURES), np.float32), np.ones(2, np.float32)
    assert onnx.load_from_string(with_head(model.SerializeToString(), weights, bias, 2.0)) == model


def test_a_backbone_tells_how_many_features_it_has() -> None:
    assert features_of(headed().SerializeToString()) == FEATURES


def test_a_head_for_other_features_is_refused() -> None:
    with pytest.raises(ValueError, match="the backbone has 5 features, the head takes 4"):
        with_head(headed().SerializeToString(), np.ones((2, 4), np.float32), np.ones(2, np.float32), 1.0)


def test_a_file_without_a_head_is_no_backbone() -> None:
    content = headed(temperature=False).SerializeToString()
    with pytest.raises(ValueError, match="has no temperature; it is no backbone"):
        with_head(content, np.ones((2, FEATURES), np.float32), np.ones(2, np.float32), 1.0)
    with pytest.raises(ValueError, match=r"has no evidence\.weight; it is no backbone"):
        features_of(helper.make_model(helper.make_graph([], "empty", [], [])).SerializeToString())
