"""Multiply-accumulate count of a model, and a plain INT8 matrix product for comparison."""

from __future__ import annotations

from math import prod
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# rows, inner, columns: large enough to amortise packing, small enough for the caches; the fastest counts
PRODUCTS = ((256, 1024, 512), (512, 1024, 1024), (1024, 2048, 1024))


def macs(model: Path) -> int:
    """Multiplications with an addition of one inference of one input: its convolutions and matrix products.

    Raises ValueError where the model's shapes cannot be inferred.
    """
    proto = onnx.load(model)
    for value in proto.graph.input:
        value.type.tensor_type.shape.dim[0].dim_value = 1
    graph = onnx.shape_inference.infer_shapes(proto, data_prop=True).graph
    shapes = {constant.name: list(constant.dims) for constant in graph.initializer}
    for value in [*graph.value_info, *graph.output]:
        shapes[value.name] = [dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim]
    for node in graph.node:  # a weight keeps its shape when it is dequantised
        if node.op_type == "DequantizeLinear" and node.input[0] in shapes:
            shapes.setdefault(node.output[0], shapes[node.input[0]])
    counted = [_node_macs(node, shapes) for node in graph.node]
    return sum(counted)


def _node_macs(node: onnx.NodeProto, shapes: dict[str, list[int]]) -> int:
    weights = {"Conv": 1, "ConvInteger": 1, "QLinearConv": 3, "Gemm": 1, "MatMul": 1, "MatMulInteger": 1}
    if node.op_type not in weights:
        return 0
    try:
        output, weight = shapes[node.output[0]], shapes[node.input[weights[node.op_type]]]
    except KeyError as error:
        raise ValueError(f"the shape of {error} in the node {node.name!r} is unknown") from error
    # A convolution's weight is [outputs, inputs / groups, height, width]; a product's is [inputs, outputs].
    each = prod(weight[1:]) if "Conv" in node.op_type else weight[-2]
    return prod(output) * each


def write_product(file: Path, rows: int, inner: int, columns: int) -> int:
    """A model that multiplies uint8 [rows, inner] with constant int8 [inner, columns]; returns its macs."""
    weight = np.random.default_rng(0).integers(-127, 128, (inner, columns)).astype(np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "b"], ["product"])],
        "product",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, [rows, inner])],
        [helper.make_tensor_value_info("product", TensorProto.INT32, [rows, columns])],
        [numpy_helper.from_array(weight, "b")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), file)
    return rows * inner * columns
