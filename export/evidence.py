"""Validation of the two ONNX models: metrics, gates, golden cases, and the reference for drift detection."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from export.class_gates import Counts
from export.gates import Limits, measure, parity
from export.photos import Photos
from runtime.bundle.golden_patterns import PATTERNS, draw
from runtime.bundle.manifest import DriftReference, Gate, GoldenCase, ValidationMetrics
from runtime.image import ImageSpec
from runtime.inference.interface import InferenceSession
from runtime.inference.onnxruntime_session import OnnxruntimeSession
from runtime.serving.drift import brightness_of, histogram
from training.metrics.calibration import abstain_threshold
from training.metrics.guessing import against_guessing
from training.metrics.scores import Predictions, score
from training.model.checkpoint import Checkpoint

CANDIDATES = 16  # drawings of each golden pattern
KEPT = 3  # of each pattern


class Evidence(NamedTuple):
    """What a manifest says of its model's answers."""

    metrics: ValidationMetrics
    gates: list[Gate]
    against_guessing: str
    abstain_threshold: float
    golden: list[GoldenCase]
    reference: DriftReference


def gather(
    fp32: OnnxruntimeSession,
    int8: OnnxruntimeSession,
    checkpoint: Checkpoint,
    temperature: float,
    photos: Photos,
    limits: Limits,
) -> Evidence:
    """Ask both models about the validation photos.

    `int8` must be computed exactly: what a CPU without VNNI makes of it must not be recorded.
    """
    pixels, truth = photos.validation, photos.validation_truth
    says_fp32, says_int8 = (
        Predictions(checkpoint.labels, photos.validation_paths, truth, session_probabilities(session, pixels))
        for session in (fp32, int8)
    )

    def trained(index: int) -> Counts:
        said = session_probabilities(int8, photos.training_of(index)).argmax(axis=1)
        return int((said == index).sum()), len(said)

    gates = measure(
        parity=parity(checkpoint, temperature, fp32, pixels),
        fp32=says_fp32,
        int8=says_int8,
        wide_accuracy=checkpoint.wide_accuracy,
        limits=limits,
        trained=trained,
    )
    threshold = abstain_threshold(says_int8.probabilities, truth, limits.answered_precision)
    spec = ImageSpec(height=checkpoint.image_size, width=checkpoint.image_size)
    return Evidence(
        metrics=_metrics(says_fp32, says_int8, threshold),
        gates=gates,
        against_guessing=against_guessing(says_int8),
        abstain_threshold=threshold,
        golden=golden_cases(fp32, int8, spec),
        reference=drift_reference(says_int8, pixels),
    )


def session_probabilities(session: InferenceSession, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Probabilities [N, C] of `pixels` [N, H, W, 3], one photo at a time, as a server sees them."""
    return np.concatenate([session.infer(np.ascontiguousarray(photo[np.newaxis])).probabilities for photo in pixels])


def golden_cases(fp32: OnnxruntimeSession, int8: OnnxruntimeSession, spec: ImageSpec) -> list[GoldenCase]:
    """The golden cases of a model: of each pattern the drawings with the least confident FP32 answers.

    Unsure answers change first if a host computes something else. `int8` must be computed exactly: what it answers is
    what every host is held to.
    """
    cases = []
    for pattern in PATTERNS:
        pictures = np.stack([draw(pattern, seed, spec) for seed in range(CANDIDATES)])  # [CANDIDATES, H, W, 3]
        probabilities = fp32.infer(pictures).probabilities  # [CANDIDATES, C]
        least_sure = np.argsort(probabilities.max(axis=1), kind="stable")[:KEPT].tolist()
        for seed in least_sure:
            exact = int8.infer(pictures[seed : seed + 1]).probabilities[0]  # [C]
            cases.append(GoldenCase(pattern, seed, _rounded(probabilities[seed]), _rounded(exact)))
    return cases


def drift_reference(predictions: Predictions, pixels: NDArray[np.uint8]) -> DriftReference:
    """What the appliance compares later photos with to detect drift.

    The mix of predicted labels, and histograms of confidence and of the brightness of `pixels` [N, H, W, 3].
    """
    counts = np.bincount(predictions.predicted, minlength=len(predictions.labels))
    shares = [round(float(count) / len(pixels), 6) for count in counts]
    return DriftReference(
        labels=dict(zip(predictions.labels, shares, strict=True)),
        confidence=histogram(predictions.confidence),
        brightness=histogram(brightness_of(pixels)),
    )


def _metrics(fp32: Predictions, int8: Predictions, threshold: float) -> ValidationMetrics:
    answered = int8.confidence >= threshold
    right = int8.predicted == int8.truth
    return ValidationMetrics(
        photos=len(int8.truth),
        fp32=score(fp32),
        int8=score(int8),
        agreement=float((fp32.predicted == int8.predicted).mean()),
        answered=float(answered.mean()),
        answered_precision=float(right[answered].mean()) if answered.any() else 1.0,
    )


def _rounded(probabilities: NDArray[np.float32]) -> list[float]:
    return [round(p, 6) for p in probabilities.tolist()]
