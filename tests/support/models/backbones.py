"""A real backbone in miniature: colours, light and edges of a small photo, in INT8 without a single trained weight."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from runtime.bundle.golden_patterns import PATTERNS, draw
from runtime.bundle.manifest import Gate, describe_file, to_json
from runtime.image import ImageSpec
from runtime.inference.backends import Kernel
from runtime.inference.onnxruntime_session import ACTIVATION_MAP, INPUT, PROBABILITIES
from runtime.teaching.backbone import (
    GOLDEN,
    MODEL,
    OTHERS,
    RECORD,
    SCHEMA_VERSION,
    BackboneRecord,
    FeatureExtractor,
    GoldenPicture,
)
from runtime.teaching.onnx_head import BIAS, TEMPERATURE, WEIGHTS
from tests.support.photos import draw_other, encode
from tests.support.suite.repeats import THOROUGH

SIDE, PATCH, FEATURES = 64, 8, 32
SCALE = 0.25
OTHER_PHOTOS = 16
VERSION = "20261130-64"


def module_with_backbone(folder: Path) -> tuple[str, ...]:
    """The `module` of an appliance that is taught with this backbone, below `folder`; as shipped in the thorough run.

    With the shipped backbone a lesson takes twenty times the CPU seconds.
    """
    if THOROUGH:
        return ("runtime",)
    backbone = folder / "backbones" / VERSION
    return "tests.support.appliances.small_backbone", str(backbone if backbone.exists() else write_backbone(backbone))


def write_backbone(folder: Path) -> Path:
    """Write the backbone into `folder`, which its version is named by."""
    folder.mkdir(parents=True)
    for name, data in _files(folder.name).items():
        (folder / name).write_bytes(data)
    return folder


@cache
def _files(version: str) -> dict[str, bytes]:
    """The backbone's files, each by its name: they are the same wherever they are written."""
    with TemporaryDirectory() as folder:
        _draw(Path(folder, version))
        return {file.name: file.read_bytes() for file in Path(folder, version).iterdir()}


def _draw(folder: Path) -> None:
    folder.mkdir()
    model = _model()
    onnx.save(model, folder / MODEL)
    spec = ImageSpec(height=SIDE, width=SIDE)
    extractor = FeatureExtractor(model.SerializeToString(), Kernel("int8", "exact"), spec, SCALE, threads=1)
    subjects = [("rings", "boxes")[number % 2] for number in range(OTHER_PHOTOS)]
    photos = [encode(draw_other(subject, number)) for number, subject in enumerate(subjects)]
    np.savez_compressed(
        folder / OTHERS, features=np.stack([extractor.features_of(photo).features[:1] for photo in photos])
    )
    golden = [GoldenPicture(pattern, 0) for pattern in PATTERNS]
    pixels = np.stack([draw(one.pattern, one.seed, spec) for one in golden])
    places = (SIDE // PATCH) ** 2
    features: NDArray[np.float64] = extractor.features(pixels) * (SCALE / places)
    np.savez(folder / GOLDEN, int8=features, fp32=features)
    record = BackboneRecord(
        schema_version=SCHEMA_VERSION,
        name="miniature",
        version=folder.name,
        created="2026-11-30T00:00:00+00:00",
        input=spec,
        weights="drawn by hand",
        places=places,
        scale=SCALE,
        others=subjects,
        golden=golden,
        gates=[Gate("feature_similarity", 1.0, 0.99, "at least")],
        files={name: describe_file(folder / name) for name in (MODEL, OTHERS, GOLDEN)},
    )
    (folder / RECORD).write_bytes(to_json(record))


def _model() -> onnx.ModelProto:
    """Filters of patches, rectified, in steps of SCALE up to 255 of them; then a head that says nothing."""
    generator = np.random.default_rng(11)
    colours = generator.normal(0, 1, (FEATURES, 3, 1, 1)) * np.ones((1, 1, PATCH, PATCH))
    edges = generator.normal(0, 1, (FEATURES, 1, PATCH, PATCH)) * (np.arange(FEATURES) % 2)[:, None, None, None]
    filters = ((colours + 2 * edges) / (PATCH * PATCH * 8)).astype(np.float32)
    nodes = [
        helper.make_node("Transpose", [INPUT], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["nchw"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["floats", "filters"], ["seen"], strides=[PATCH, PATCH]),
        helper.make_node("QuantizeLinear", ["seen", "scale", "zero"], ["bytes"]),
        helper.make_node("DequantizeLinear", ["bytes", "scale", "zero"], ["maps"]),
        helper.make_node("Conv", ["maps", WEIGHTS], [ACTIVATION_MAP]),
        helper.make_node("ReduceMean", [ACTIVATION_MAP, "axes"], ["mean"], keepdims=0),
        helper.make_node("Add", ["mean", BIAS], ["biased"]),
        helper.make_node("Div", ["biased", TEMPERATURE], ["logits"]),
        helper.make_node("Softmax", ["logits"], [PROBABILITIES], axis=1),
    ]
    constants = {
        "filters": filters,
        "scale": np.array(SCALE, np.float32),
        "zero": np.array(0, np.uint8),
        WEIGHTS: np.ones((2, FEATURES, 1, 1), np.float32),
        BIAS: np.ones(2, np.float32),
        TEMPERATURE: np.array(2.0, np.float32),
        "axes": np.array([2, 3]),
    }
    places = SIDE // PATCH
    graph = helper.make_graph(
        nodes,
        "miniature",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["n", SIDE, SIDE, 3])],
        [
            helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["n", 2]),
            helper.make_tensor_value_info(ACTIVATION_MAP, TensorProto.FLOAT, ["n", 2, places, places]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model
