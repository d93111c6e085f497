"""FP32 model made from an INT8 one: the same network with its quantisation taken out."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper


def dequantized(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` in FP32, for what an inference of it costs: a bundle need not carry its FP32 file.

    Weights and biases are the numbers that their bytes stand for. What was quantised with 0 as its zero point lost its
    negative numbers by that, and goes through ReLU instead; anything else is not rounded any more.
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    constants = {constant.name: numpy_helper.to_array(constant) for constant in graph.initializer}
    quantized = {node.output[0]: node for node in graph.node if node.op_type == "QuantizeLinear"}
    same: dict[str, str] = {}
    nodes = []
    for node in graph.node:
        if node.op_type == "QuantizeLinear":
            continue
        if node.op_type == "DequantizeLinear" and node.input[0] in constants:
            values = _values(*(constants[name] for name in node.input))
            graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
        elif node.op_type == "DequantizeLinear" and node.input[0] in quantized:
            source = quantized[node.input[0]].input[0]
            if constants[node.input[2]] == 0:
                nodes.append(helper.make_node("Relu", [same.get(source, source)], [node.output[0]]))
            else:
                same[node.output[0]] = same.get(source, source)
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    for node in graph.node:
        node.input[:] = [same.get(name, name) for name in node.input]
    used = {name for node in graph.node for name in node.input}
    kept = [constant for constant in graph.initializer if constant.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return made


def _values(quantized: np.ndarray, scale: np.ndarray, zero_point: np.ndarray) -> np.ndarray:
    """What bytes stand for, with one scale for each output: the first axis."""
    shape = (-1,) + (1,) * (quantized.ndim - 1) if scale.ndim else ()
    shifted = quantized.astype(np.int64) - zero_point.reshape(shape)
    values: np.ndarray = (shifted * scale.reshape(shape)).astype(np.float32)
    return values
