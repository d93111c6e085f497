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
from runtime.names import UNKNOWN
from runtime.registry.bundle_writer import describe_files, staged, write_manifest
from runtime.teaching.backbone import Backbone
from runtime.teaching.examples import Examples
from runtime.teaching.onnx_head import with_head
from runtime.teaching.teach import Lesson


class Identity(NamedTuple):
    """What a taught bundle is called: the model's name, what pages show of it, the data set that it was taught on."""

    name: str
    display: Display | None = None
    dataset: str | None = None


def write_bundle(
    lesson: Lesson, backbone: Backbone, target: Path, identity: Identity, *, created: datetime | None = None
) -> Bundle:
    """Write the bundle `target`, whose last part is its version, and open it again, verified. Raises WriteError.

    The golden cases are what the backbone's record has of INT8 in exact arithmetic and of FP32, with the new head.
    """
    with staged(target) as folder:
        weights = lesson.head.weights.T.astype(np.float32)  # [C, D]
        bias = lesson.head.bias.astype(np.float32)
        (folder / bundle.MODEL).write_bytes(with_head(backbone.model, weights, bias, lesson.temperature))
        manifest = _manifest(lesson, backbone, target.name, identity, created or datetime.now(UTC))
        write_manifest(folder, msgspec.structs.replace(manifest, files=describe_files(folder)))
    return Bundle.open(target)


def version_of(lesson: Lesson, created: datetime) -> str:
    """The name of a taught version: the time to the second, and a hash of its head."""
    digest = hashlib.sha256(lesson.head.weights.tobytes() + lesson.head.bias.tobytes()).hexdigest()
    return f"{created:%Y%m%d-%H%M%S}-{digest[:8]}"


def _manifest(lesson: Lesson, backbone: Backbone, version: str, identity: Identity, created: datetime) -> Manifest:
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
        golden=_golden(lesson, backbone),
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


def _golden(lesson: Lesson, backbone: Backbone) -> list[GoldenCase]:
    fp32, int8 = (_probabilities(lesson, features) for features in (backbone.golden_fp32, backbone.golden))
    return [
        GoldenCase(one.pattern, one.seed, *(np.round(part[row], 6).tolist() for part in (fp32, int8)))
        for row, one in enumerate(backbone.record.golden)
    ]


def _probabilities(lesson: Lesson, features: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the model answers to `features` [N, D]: [N, C]."""
    logits = (features @ lesson.head.weights + lesson.head.bias) / lesson.temperature
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float64] = odds / odds.sum(axis=1, keepdims=True)
    return probabilities


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
    classes, predicted = probabilities.shape[1], probabilities.argmax(axis=1)
    hits, said, there = (np.bincount(rows, minlength=classes) for rows in (truth[truth == predicted], predicted, truth))
    return Scores(
        accuracy=float((predicted == truth).mean()),
        precision=float((hits / np.maximum(said, 1)).mean()),
        recall=float((hits / np.maximum(there, 1)).mean()),
        f1=float((2 * hits / np.maximum(said + there, 1)).mean()),
        log_loss=float(-np.log(probabilities[np.arange(len(truth)), truth]).mean()),
        calibration_error=_calibration_error(probabilities.max(axis=1), predicted == truth),
    )


def _calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = 10) -> float:
    """Expected calibration error over equal-width bins (Guo et al. 2017, arXiv:1706.04599), 0..1."""
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(index, weights=right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(right))


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
