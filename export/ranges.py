"""Where a model file holds its INT8 weights, so that a runtime can shift them without reading ONNX."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from runtime.bundle import ByteRange


def int8_weights(model: onnx.ModelProto) -> list[ByteRange]:
    """The weights of all convolutions but the first, and their zero points, in `model.SerializeToString()`.

    The first one is wide and shallow: it gains nothing as a matrix product. Raises ValueError for a weight of -128,
    which cannot be shifted (onnxruntime's symmetric weights are -127..127).
    """
    content = model.SerializeToString()
    constants = {constant.name: constant for constant in model.graph.initializer}
    return [_range(content, constants[name]) for name in _names(model, constants)]


def pack_int8(model: onnx.ModelProto) -> None:
    """Keep INT8 constants as plain bytes: the quantiser writes some as lists of numbers."""
    for constant in model.graph.initializer:
        if constant.data_type == TensorProto.INT8 and not constant.HasField("raw_data"):
            constant.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(constant), constant.name))


def _names(model: onnx.ModelProto, constants: dict[str, TensorProto]) -> Iterator[str]:
    producers = {node.output[0]: node for node in model.graph.node}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    for convolution in convolutions[1:]:
        dequantise = producers.get(convolution.input[1])
        if dequantise is None:  # the classifier stays FP32
            continue
        weight, _, zero_point = dequantise.input
        if constants[weight].data_type == TensorProto.INT8:
            yield from (weight, zero_point)


def _range(content: bytes, constant: TensorProto) -> ByteRange:
    if numpy_helper.to_array(constant).min() == np.iinfo(np.int8).min:
        raise ValueError(f"{constant.name}: holds -128 and cannot be shifted")
    record = constant.SerializeToString()  # its name makes it unique; its bytes come last
    if content.count(record) != 1 or not record.endswith(constant.raw_data):
        raise ValueError(f"{constant.name}: cannot be found in the model")
    return ByteRange(content.index(record) + len(record) - len(constant.raw_data), len(constant.raw_data))
