"""Write a taught model as an ordinary bundle: the backbone's ONNX file with a new head, and its manifest."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from runtime.bundle import manifest as bundle
from runtime.bundle.display import Display
from runtime.bundle.manifest import (
    Bundle,
    DriftReference,
    GoldenCase,
    Manifest,
    Scores,
    Taught,
    TrainingData,
    Unknown,
    ValidationMetrics,
)
from runtime.image.distributions import histogram
from runtime.inference.golden_record import as_recorded
from runtime.inference.native_head import native_head
from runtime.inference.scores import calibration_error, mean_over_classes
from runtime.names import UNKNOWN
from runtime.registry.bundle_writer import describe_files, staged, write_manifest
from runtime.teaching.backbone import Backbone
from runtime.teaching.examples import Examples
from runtime.teaching.learning.calibration import probabilities_of
from runtime.teaching.onnx_head import with_head
from runtime.teaching.teach import Lesson

HEAD_DEVIATION = 1e-4  # of a probability, of the native kernel's from NumPy's in double precision


class Identity(NamedTuple):
    """What a taught bundle is called: the model's name, what pages show of it, the data set that it was taught on."""

    name: str
    display: Display | None = None
    dataset: str | None = None


def write_bundle(
    lesson: Lesson, backbone: Backbone, target: Path, identity: Identity, *, created: datetime | None = None
) -> Bundle:
    """Write the bundle `target`, whose last part is its version, and open it again, verified. Raises WriteError.

    The golden cases are what the backbone's record has of INT8 and of FP32, with the new head as the native kernel
    computes it, to the last bit.
    """
    with staged(target) as folder:
        weights = lesson.head.weights.T.astype(np.float32)  # [C, D]
        bias = lesson.head.bias.astype(np.float32)
        (folder / bundle.MODEL).write_bytes(with_head(backbone.model, weights, bias, lesson.temperature))
        golden = _golden(lesson, backbone, weights, bias)
        manifest = _manifest(lesson, backbone, golden, target.name, identity, created or datetime.now(UTC))
        write_manifest(folder, msgspec.structs.replace(manifest, files=describe_files(folder)))
    return Bundle.open(target)


def version_of(lesson: Lesson, created: datetime) -> str:
    """The name of a taught version: the time to the second, and a hash of its head."""
    digest = hashlib.sha256(lesson.head.weights.tobytes() + lesson.head.bias.tobytes()).hexdigest()
    return f"{created:%Y%m%d-%H%M%S}-{digest[:8]}"


def _manifest(
    lesson: Lesson, backbone: Backbone, golden: list[GoldenCase], version: str, identity: Identity, created: datetime
) -> Manifest:
    examples, report = lesson.examples, lesson.report
    return Manifest(
        schema_version=bundle.TAUGHT_SCHEMA_VERSION,
        name=identity.name,
        version=version,
        created=created.isoformat(timespec="seconds"),
        labels=list(examples.labels),
        input=backbone.spec,
        temperature=lesson.temperature,
        abstain_threshold=lesson.abstain_threshold,
        metrics=ValidationMetrics(
            photos=report.photos,
            fp32=None,
            int8=_scores(_among_labels(lesson), examples.truth),
            agreement=None,
            answered=report.answered,
            answered_precision=report.answered_precision,
        ),
        gates=list(backbone.record.gates),
        dataset=TrainingData(_digest(examples), len(examples.truth), report.photos),
        weights=f"{backbone.record.name} {backbone.record.version}",
        epochs=0,
        seed=0,
        git_commit=None,
        mlflow_run=None,
        golden=golden,
        reference=_reference(lesson),
        files={},
        display=identity.display,
        unknown=_unknown(lesson),
        taught=Taught(
            backbone=backbone.record.version,
            backbone_sha256=backbone.sha256,
            photos=dict(zip(examples.labels, examples.counts.tolist(), strict=True)),
            folds=report.folds,
            interval=report.interval,
            dataset=identity.dataset,
        ),
    )


def _golden(
    lesson: Lesson, backbone: Backbone, weights: NDArray[np.float32], bias: NDArray[np.float32]
) -> list[GoldenCase]:
    """What FP32 answers, and INT8 by the native kernel's head: to six decimals where this host does not have it."""
    head, maps = lesson.head, backbone.golden_maps
    fp32, int8 = (
        probabilities_of(features @ head.weights + head.bias, lesson.temperature)
        for features in (backbone.golden_fp32, backbone.golden)
    )
    scale, temperature = np.float32(backbone.record.scale), np.float32(lesson.temperature)
    native = None if maps is None else native_head(maps, scale, weights, bias, temperature)
    if native is not None and not np.abs(native - int8).max() <= HEAD_DEVIATION:
        native = None  # the kernel is wrong on this host
    return [
        GoldenCase(
            one.pattern,
            one.seed,
            np.round(fp32[row], 6).tolist(),
            np.round(int8[row], 6).tolist() if native is None else as_recorded(native[row]),
        )
        for row, one in enumerate(backbone.record.golden)
    ]


def _digest(examples: Examples) -> str:
    """The SHA-256 of the photos and their labels, whatever their order."""
    lines = sorted(
        f"{examples.labels[index]}/{photo}" for photo, index in zip(examples.photos, examples.truth, strict=True)
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _among_labels(lesson: Lesson) -> NDArray[np.float64]:
    """The held-out probabilities of the labels if the photo shows one of them, [N, C]."""
    own = lesson.held_out[:, : len(lesson.examples.labels)] + np.finfo(np.float64).tiny
    among: NDArray[np.float64] = own / own.sum(axis=1, keepdims=True)
    return among


def _scores(probabilities: NDArray[np.float64], truth: NDArray[np.int64]) -> Scores:
    predicted = probabilities.argmax(axis=1)
    precision, recall, f1 = mean_over_classes(truth, predicted, probabilities.shape[1])
    return Scores(
        accuracy=float((predicted == truth).mean()),
        precision=precision,
        recall=recall,
        f1=f1,
        log_loss=float(-np.log(probabilities[np.arange(len(truth)), truth]).mean()),
        calibration_error=calibration_error(probabilities.max(axis=1), predicted == truth),
    )


def _reference(lesson: Lesson) -> DriftReference:
    labels = list(lesson.examples.labels)
    unknown = _is_unknown(lesson)
    said = np.where(unknown, len(labels), lesson.held_out[:, : len(labels)].argmax(axis=1))
    names = labels if lesson.unknown_threshold is None else [*labels, UNKNOWN]
    shares = np.bincount(said, minlength=len(names)) / len(said)
    return DriftReference(
        labels={name: round(share, 6) for name, share in zip(names, shares.tolist(), strict=True)},
        confidence=histogram(lesson.held_out[~unknown, : len(labels)].max(axis=1)),
        brightness=histogram(lesson.examples.brightness),
    )


def _unknown(lesson: Lesson) -> Unknown | None:
    if lesson.unknown_threshold is None:
        return None
    return Unknown(lesson.unknown_threshold)


def _is_unknown(lesson: Lesson) -> NDArray[np.bool_]:
    """Of which held-out photos the model says that they show none of the labels, [N]."""
    if lesson.unknown_threshold is None:
        return np.zeros(len(lesson.held_out), bool)
    found: NDArray[np.bool_] = lesson.held_out[:, -1] >= lesson.unknown_threshold
    return found
