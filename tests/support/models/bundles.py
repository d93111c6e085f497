"""A real bundle in miniature: yellow photos are dandelions, the others grass."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from runtime.bundle.golden_patterns import PATTERNS, draw
from runtime.bundle.manifest import (
    MANIFEST,
    MODEL,
    SCHEMA_VERSION,
    TAUGHT_SCHEMA_VERSION,
    UNKNOWN_SCHEMA_VERSION,
    DriftReference,
    GoldenCase,
    Manifest,
    Scores,
    TrainingData,
    ValidationMetrics,
    describe_file,
    read_manifest,
    to_json,
)
from runtime.image import ImageSpec
from runtime.inference.onnxruntime_session import ACTIVATION_MAP, INPUT, PROBABILITIES, OnnxruntimeSession

BALLAST = "ballast.bin"
UNKNOWN_FROM_HALF = {"threshold": 0.5}  # the key `unknown` of a manifest


def write_model(
    file: Path,
    *,
    size: int = 32,
    classes: int = 2,
    dtype: int = TensorProto.UINT8,
    rows: int | None = None,
    unknown: bool = False,
) -> None:
    """A model that judges by the mean colour of the upper `rows` of a photo, by default all of it.

    With `unknown` the last of its `classes` is for blue and magenta photos.
    """
    weight = np.zeros((classes, 3, 1, 1), np.float32)
    weight[0] = np.array([0.04, 0.0, -0.04]).reshape(3, 1, 1)  # red without blue: yellow
    weight[1] = np.array([-0.04, 0.01, 0.04]).reshape(3, 1, 1)
    if unknown:
        weight[-1] = np.array([0.0, -0.08, 0.08]).reshape(3, 1, 1)  # blue without green
    nodes = [
        helper.make_node("Transpose", [INPUT], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["nchw"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["floats", "weight"], [ACTIVATION_MAP]),
        helper.make_node("Slice", [ACTIVATION_MAP, "top", "rows", "row_axis"], ["seen"]),
        helper.make_node("ReduceMean", ["seen", "axes"], ["logits"], keepdims=0),
        helper.make_node("Softmax", ["logits"], [PROBABILITIES], axis=1),
    ]
    indices = {"axes": [2, 3], "top": [0], "rows": [rows or size], "row_axis": [2]}
    constants = [numpy_helper.from_array(np.array(value), name) for name, value in indices.items()]
    constants.append(numpy_helper.from_array(weight, "weight"))
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info(INPUT, dtype, ["n", size, size, 3])],
        [
            helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["n", classes]),
            helper.make_tensor_value_info(ACTIVATION_MAP, TensorProto.FLOAT, ["n", classes, size, size]),
        ],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, file)


def write_bundle(
    folder: Path, *, size: int = 32, rows: int | None = None, threshold: float = 0.6, **changes: Any
) -> Path:
    """A valid bundle in `folder`; `changes` replace keys of its manifest.

    With `labels` among them the model has as many classes, of which the first is for yellow photos. With `unknown`
    among them it has the unknown class, too, which is for blue and magenta photos; the manifest is of schema 2.
    """
    folder.mkdir(parents=True)
    labels, unknown = changes.get("labels", ["dandelion", "grass"]), changes.get("unknown") is not None
    outputs = len(labels) + unknown
    write_model(folder / MODEL, size=size, classes=outputs, rows=rows, unknown=unknown)
    spec = ImageSpec(height=size, width=size)
    answers = _answers((folder / MODEL).read_bytes(), size, outputs)
    golden = [GoldenCase(name, 0, answer, answer) for name, answer in answers]
    scores = Scores(accuracy=1.0, precision=1.0, recall=1.0, f1=1.0, log_loss=0.1, calibration_error=0.0)
    manifest = Manifest(
        schema_version=UNKNOWN_SCHEMA_VERSION if unknown else SCHEMA_VERSION,
        name="colours",
        version=folder.name,
        created="2026-01-01T00:00:00+00:00",
        labels=labels,
        input=spec,
        temperature=1.0,
        abstain_threshold=threshold,
        metrics=ValidationMetrics(
            photos=10, fp32=scores, int8=scores, agreement=1.0, answered=1.0, answered_precision=1.0
        ),
        gates=[],
        dataset=TrainingData(sha256="0" * 64, train_photos=8, validation_photos=2),
        weights="none",
        epochs=1,
        seed=0,
        git_commit=None,
        mlflow_run=None,
        golden=golden,
        reference=DriftReference(
            labels=dict.fromkeys(labels, 1 / len(labels)), confidence=[0.1] * 10, brightness=[0.1] * 10
        ),
        files={MODEL: describe_file(folder / MODEL)},
    )
    (folder / MANIFEST).write_bytes(to_json(manifest))
    change_manifest(folder, **changes)
    return folder


@cache
def _answers(model: bytes, size: int, classes: int) -> list[tuple[str, list[float]]]:
    """The probabilities of each golden pattern: most tests have the same model."""
    spec = ImageSpec(height=size, width=size)
    with TemporaryDirectory() as folder:
        file = Path(folder, MODEL)
        file.write_bytes(model)
        session = OnnxruntimeSession(file, spec, classes, threads=1)
    return [(name, session.infer(draw(name, 0, spec)[np.newaxis]).probabilities[0].tolist()) for name in PATTERNS]


def taught_bundle(folder: Path, **changes: Any) -> Path:
    """A bundle as one that was taught on an appliance says of itself: of other photos than FP32 has seen."""
    import msgspec

    manifest = msgspec.to_builtins(read_manifest(write_bundle(folder) / MANIFEST))
    metrics = manifest["metrics"] | {"fp32": None, "agreement": None}
    taught = {
        "backbone": "b1",
        "backbone_sha256": "0" * 64,
        "photos": dict.fromkeys(manifest["labels"], 5),
        "folds": 5,
        "interval": [0.75, 1.0],
        "dataset": "gate",
    }
    defaults = {"name": "gate", "schema_version": TAUGHT_SCHEMA_VERSION, "metrics": metrics, "taught": taught}
    change_manifest(folder, **(defaults | changes))
    return folder


def change_manifest(folder: Path, **changes: Any) -> None:
    import msgspec

    file = folder / MANIFEST
    manifest = msgspec.json.decode(file.read_bytes())
    file.write_bytes(msgspec.json.encode(manifest | changes))


def heavy_bundle(folder: Path, size_bytes: int) -> Path:
    """A valid bundle with one file more, of bytes that nothing makes shorter: it takes a while to copy."""
    import msgspec

    manifest = read_manifest(write_bundle(folder) / MANIFEST)
    (folder / BALLAST).write_bytes(os.urandom(size_bytes))
    change_manifest(folder, files=msgspec.to_builtins(manifest.files | {BALLAST: describe_file(folder / BALLAST)}))
    return folder
