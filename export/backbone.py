"""Build the backbone of teaching: ImageNet's ResNet18 in INT8, and the features of photos of other things."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from export.channels.reorder import reorder
from export.gates.quality_gates import require
from export.graph.quantise import quantise
from export.graph.serving_graph import ServingGraph, to_onnx
from runtime.bundle.golden_patterns import PATTERNS, draw
from runtime.bundle.manifest import Gate, to_json
from runtime.cli.progress import progress
from runtime.errors import Refusal
from runtime.host.cpu import available_cpus
from runtime.image import ImageSpec, decode
from runtime.inference.backends import Kernel, native_kernels
from runtime.native.onnx_importer import UnknownGraphError
from runtime.registry.bundle_writer import describe_files, staged
from runtime.teaching.backbone import (
    GOLDEN,
    MODEL,
    OTHERS,
    RECORD,
    SCHEMA_VERSION,
    Backbone,
    BackboneRecord,
    FeatureExtractor,
    GoldenPicture,
)
from runtime.teaching.examples import Sums
from runtime.teaching.onnx_head import TEMPERATURE, WEIGHTS
from training.data.other.kinds import subject_of
from training.model.network import build, normalise

NAME = "resnet18-imagenet"
LEAST_PHOTOS = 400  # a quarter of them calibrates
HEADLESS = 2  # outputs of the head in the file, which says nothing and is always replaced
PLACEHOLDER = 2.0  # its temperature
GOLDEN_SEEDS = 3  # drawings of each golden pattern
REDUCTION = 32  # of a side, from the photo to the last feature map
BATCH = 16
EXACT = Kernel("int8", "exact")
SIMILARITY_LIMIT = 0.99
LOWEST_SIMILARITY = 0.95

Say = Callable[[str], None]


class BackboneError(Refusal):
    """A backbone that is not written; the message says why."""


@dataclass(frozen=True)
class OtherPhoto:
    """A photo of something that nobody is expected to teach, and what it shows."""

    file: Path
    subject: str


def other_photos(folder: Path) -> list[OtherPhoto]:
    """The photos that `python -m training fetch` has laid into `folder`. Raises BackboneError if there are none."""
    files = sorted(file for file in folder.glob("*") if file.is_file() and not file.name.startswith("."))
    photos = [OtherPhoto(file, subject) for file in files if (subject := subject_of(f"{folder.name}/{file.name}"))]
    if len(photos) < LEAST_PHOTOS:
        raise BackboneError(f"{folder}: has {len(photos)} photos of other things; fetch them: python -m training fetch")
    return photos


def build_backbone(photos: Sequence[OtherPhoto], target: Path, *, image_size: int, weights: str, say: Say) -> Backbone:
    """Write the backbone `target`, whose last part is its version, and open it again, verified.

    A quarter of the photos calibrates INT8; another says how near its features are to FP32's. Raises WeightsError,
    BackboneError if they are not near enough, and WriteError.
    """
    spec = ImageSpec(height=image_size, width=image_size)
    network = _network(weights)
    pixels = np.stack([decode(photo.file.read_bytes(), spec) for photo in photos])
    calibration, held_out = pixels[::4], pixels[2::4]
    with staged(target) as folder:
        say(f"convert at {image_size} px; INT8 calibrated on {len(calibration)} photos of other things")
        model = quantise(to_onnx(ServingGraph(network, PLACEHOLDER), image_size), calibration)
        say(str(reorder(model, calibration, features_too=False)))  # heads know them by their places
        scale = _prepare_head(model)
        onnx.save(model, folder / MODEL)
        extractor = _extractor(model.SerializeToString(), spec, scale)
        places = (image_size // REDUCTION) ** 2
        unit = scale / places
        gates = _gates(extractor.features(held_out) * np.float64(unit), _fp32_features(network, held_out))
        require(gates)
        say(f"features of {len(photos)} photos of other things")
        np.savez_compressed(folder / OTHERS, features=_features_of_others(extractor, photos))
        golden = _write_golden(folder / GOLDEN, extractor, network, spec, unit)
        record = BackboneRecord(
            schema_version=SCHEMA_VERSION,
            name=NAME,
            version=target.name,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            input=spec,
            weights=weights,
            places=places,
            scale=scale,
            others=[photo.subject for photo in photos],
            golden=golden,
            gates=gates,
            files=describe_files(folder),
        )
        (folder / RECORD).write_bytes(to_json(record))
    return Backbone.open(target)


def _network(weights: str) -> nn.Module:
    """ResNet18 with a head that an exporter does not take for one that does nothing."""
    network: Any = build(HEADLESS, weights)
    nn.init.ones_(network.fc.weight)
    nn.init.ones_(network.fc.bias)
    eager: nn.Module = network.eval()
    return eager


def _prepare_head(model: onnx.ModelProto) -> float:
    """Name what a taught head replaces, and forget the shapes that depend on it; returns the scale of the features."""
    graph = model.graph
    head = graph.node[next(i for i, node in enumerate(graph.node) if WEIGHTS in node.input) :]
    division = next(node for node in head if node.op_type == "Div")
    for constant in graph.initializer:
        if constant.name == division.input[1]:
            constant.name = TEMPERATURE
    division.input[1] = TEMPERATURE
    for value in [value for value in graph.value_info if any(value.name in node.output for node in head)]:
        graph.value_info.remove(value)
    onnx.checker.check_model(model, full_check=True)
    last = next(node for node in graph.node if head[0].input[0] in node.output)
    scale = next(constant for constant in graph.initializer if constant.name == last.input[1])
    return float(onnx.numpy_helper.to_array(scale))


def _extractor(model: bytes, spec: ImageSpec, scale: float) -> FeatureExtractor:
    """The features that are recorded: the native kernel's, equal on every processor; onnxruntime's if it has none."""
    for kernel in native_kernels()[:1]:
        try:
            return FeatureExtractor(model, kernel, spec, scale, threads=available_cpus())
        except UnknownGraphError:
            continue
    return FeatureExtractor(model, EXACT, spec, scale, threads=available_cpus())


def _fp32_features(network: Any, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The features [N, D] of `pixels` [N, H, W, 3] by PyTorch."""
    body = nn.Sequential(*list(network.children())[:-1])
    batches = (pixels[start : start + BATCH] for start in range(0, len(pixels), BATCH))
    with torch.inference_mode():
        parts = [body(normalise(torch.from_numpy(batch))).flatten(1) for batch in batches]
    features: NDArray[np.float64] = torch.cat(parts).double().numpy()
    return features


def _gates(int8: NDArray[np.float64], fp32: NDArray[np.float64]) -> list[Gate]:
    """Cosine similarity of INT8's features [N, D] with FP32's: of most photos, and of the worst."""
    lengths = np.linalg.norm(int8, axis=1) * np.linalg.norm(fp32, axis=1)
    similarity = (int8 * fp32).sum(axis=1) / lengths
    about = f"{len(similarity)} photos that INT8 was not calibrated on"
    return [
        Gate(
            "feature_similarity", float(np.median(similarity)), SIMILARITY_LIMIT, "at least", about=f"median of {about}"
        ),
        Gate("lowest_feature_similarity", float(similarity.min()), LOWEST_SIMILARITY, "at least", about=about),
    ]


def _features_of_others(extractor: FeatureExtractor, photos: Sequence[OtherPhoto]) -> Sums:
    """[M, V, D], all views: what changes between them is what no class is to be told by."""
    with progress("features of other things", len(photos)) as advance:
        found = []
        for photo in photos:
            found.append(extractor.features_of(photo.file.read_bytes()).features)
            advance()
    return np.stack(found)


def _write_golden(
    file: Path, extractor: FeatureExtractor, network: nn.Module, spec: ImageSpec, unit: float
) -> list[GoldenPicture]:
    """Write the golden pictures' features by INT8 and by FP32, in units of the head, and INT8's feature maps.

    Returns the pictures.
    """
    pictures = [GoldenPicture(pattern, seed) for pattern in PATTERNS for seed in range(GOLDEN_SEEDS)]
    pixels = np.stack([draw(one.pattern, one.seed, spec) for one in pictures])
    maps = np.concatenate([extractor.maps(pixels[i : i + 1]) for i in range(len(pixels))])
    int8 = maps.sum(axis=1) * np.float64(unit)
    np.savez_compressed(file, int8=int8, fp32=_fp32_features(network, pixels), maps=maps)
    return pictures
