"""Stand-in bundle at another input size: the same weights, so the same speed; not trained for that size."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import numpy as np
import onnx
from onnx import numpy_helper

from runtime.bundle.golden_patterns import PATTERNS, draw
from runtime.bundle.input import ImageSpec
from runtime.bundle.manifest import (
    MANIFEST,
    MODEL,
    Bundle,
    GoldenCase,
    Manifest,
    Scores,
    ValidationMetrics,
    describe_file,
    to_json,
)
from runtime.errors import Refusal
from runtime.inference.golden_record import as_recorded, record_natively
from runtime.inference.onnxruntime_session import OnnxruntimeSession

STAND_IN = "stand-in"  # what the manifest calls the weights


def stand_in(original: Bundle, image_size: int, folder: Path) -> Path:
    """The folder of a bundle for photos of `image_size` px a side; made in `folder` where it is not there yet.

    The network is fully convolutional: the same INT8 weights serve any size. Trained weights matter to the speed, since
    what is 0 need not be computed. The golden cases record what the model itself says here, computed by onnxruntime's
    exact arithmetic and then by the native kernel: no proof of right answers.
    Raises Refusal for an odd size, or a model that was not made by `python -m export build`.
    """
    if image_size % 2:
        raise Refusal(f"{image_size} px: the network takes photos of an even size")
    made = folder / f"{original.manifest.version}-at-{image_size}px"
    if (made / MANIFEST).exists():
        return made
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    onnx.save(resized(original.model, image_size), made / MODEL)
    (made / MANIFEST).write_bytes(to_json(_manifest(original.manifest, image_size, made)))
    return made


def resized(file: Path, image_size: int) -> onnx.ModelProto:
    """The model with another size where it cuts photos into blocks of 2 x 2 pixels, which nothing else names.

    Raises Refusal for a model that was not made by `python -m export build`.
    """
    model = onnx.load(file)
    graph, half = model.graph, image_size // 2
    shapes = [node.input[1] for node in graph.node if node.op_type == "Reshape"]
    constants = {constant.name: constant for constant in graph.initializer}
    if len(shapes) != 2 or not all(name in constants for name in shapes):
        raise Refusal(f"{file}: its input has one size only; take a bundle of `python -m export build`")
    for name, shape in zip(shapes, ([-1, half, 2, half, 2, 3], [-1, half, half, 12]), strict=True):
        constants[name].CopyFrom(numpy_helper.from_array(np.array(shape, np.int64), name))
    for side in graph.input[0].type.tensor_type.shape.dim[1:3]:
        side.dim_value = image_size
    del graph.value_info[:]
    for output in graph.output:  # the activation map's side
        for side in output.type.tensor_type.shape.dim[2:]:
            side.Clear()
    return model


def _manifest(original: Manifest, image_size: int, folder: Path) -> Manifest:
    spec = msgspec.structs.replace(original.input, height=image_size, width=image_size)
    session = OnnxruntimeSession(folder / MODEL, spec, original.outputs, threads=1, exact=True)
    golden = [_golden(session, name, spec) for name in PATTERNS]
    unknown = Scores(accuracy=0.0, precision=0.0, recall=0.0, f1=0.0, log_loss=0.0, calibration_error=0.0)
    return msgspec.structs.replace(
        original,
        version=folder.name,
        input=spec,
        metrics=ValidationMetrics(
            photos=0, fp32=unknown, int8=unknown, agreement=0.0, answered=0.0, answered_precision=0.0
        ),
        gates=[],
        weights=STAND_IN,
        golden=record_natively(golden, folder / MODEL, spec, original.outputs, threads=1),
        files={MODEL: describe_file(folder / MODEL)},
    )


def _golden(session: OnnxruntimeSession, pattern: str, spec: ImageSpec) -> GoldenCase:
    probabilities = as_recorded(session.infer(draw(pattern, 0, spec)[np.newaxis]).probabilities[0])
    return GoldenCase(pattern, 0, probabilities, probabilities)
