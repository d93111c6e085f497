"""Static INT8 quantisation: per channel, U8 activations and S8 weights (the fast pair on x86 with VNNI)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from export.graph.serving_graph import drop_unused_initializers
from runtime.inference.onnxruntime_session import INPUT
from training.model.network import PIXEL_SCALE, PIXEL_ZERO

CALIBRATION_BATCH = 10


class _Photos(CalibrationDataReader):  # type: ignore[misc]  # the base class carries no types
    """Feeds pixels [N, H, W, 3] to the calibrator, a few photos at a time."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self._batches: Iterator[NDArray[np.uint8]] = iter(
            np.array_split(pixels, max(1, len(pixels) // CALIBRATION_BATCH))
        )

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: np.ascontiguousarray(batch)}


def quantise(model: onnx.ModelProto, calibration: NDArray[np.uint8]) -> onnx.ModelProto:
    """Quantise the graph of `export.graph.serving_graph.to_onnx`; `calibration` holds training photos, [N, H, W, 3].

    The convolutions and what lies between them become INT8; the classifier on top stays FP32, for good probabilities.
    The input needs no quantisation: a byte of the photo, with zero point 114 and scale 1/57, is the quantised value.
    """
    stem = next(node for node in model.graph.node if node.op_type == "Conv")
    normalised = stem.input[0]
    pixel_quantisation = {
        "quant_type": QuantType.QUInt8,
        "scale": np.array(1 / PIXEL_SCALE, np.float32),
        "zero_point": np.array(PIXEL_ZERO, np.uint8),
    }
    with tempfile.TemporaryDirectory() as folder:
        source, shaped, target = (Path(folder, name) for name in ("fp32.onnx", "shaped.onnx", "int8.onnx"))
        onnx.save(model, source)
        # Shapes only: the graph is folded already, and the symbolic pass would need sympy.
        quant_pre_process(source, shaped, skip_optimization=True, skip_symbolic_shape=True)
        quantize_static(
            shaped,
            target,
            _Photos(calibration),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Relu", "Add", "MaxPool"],
            nodes_to_exclude=_classifier(model, after=stem),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"TensorQuantOverrides": {normalised: [pixel_quantisation]}},
        )
        quantised = onnx.load(target)
    _feed_bytes(quantised, normalised)
    _pack_int8(quantised)
    onnx.checker.check_model(quantised, full_check=True)
    return quantised


def _classifier(model: onnx.ModelProto, *, after: onnx.NodeProto) -> list[str]:
    """The nodes to keep in FP32: the last convolution (1 x 1, the classifier) and all that follows it."""
    nodes = list(model.graph.node)
    convolutions = [index for index, node in enumerate(nodes) if node.op_type == "Conv"]
    if nodes[convolutions[0]].name != after.name:
        raise ValueError("the graph does not begin with its stem")
    return [node.name for node in nodes[convolutions[-1] :]]


def _feed_bytes(model: onnx.ModelProto, normalised: str) -> None:
    """Take out `(byte - 114) / 57` and its quantisation, which undo each other: the byte goes straight in."""
    nodes = model.graph.node
    producer = {output: node for node in nodes for output in node.output}
    (quantise_input,) = [node for node in nodes if node.op_type == "QuantizeLinear" and node.input[0] == normalised]
    unused = [quantise_input]
    node = producer[normalised]
    while node.op_type != "Cast":
        unused.append(node)
        node = producer[node.input[0]]
    unused.append(node)
    for reader in nodes:
        reader.input[:] = [node.input[0] if name == quantise_input.output[0] else name for name in reader.input]
    for gone in unused:
        nodes.remove(gone)
    drop_unused_initializers(model)
    known = {output for kept in nodes for output in kept.output}
    for value in [value for value in model.graph.value_info if value.name not in known]:
        model.graph.value_info.remove(value)


def _pack_int8(model: onnx.ModelProto) -> None:
    """Keep INT8 constants as plain bytes: the quantiser writes some as lists of numbers."""
    for constant in model.graph.initializer:
        if constant.data_type == onnx.TensorProto.INT8 and not constant.HasField("raw_data"):
            constant.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(constant), constant.name))
