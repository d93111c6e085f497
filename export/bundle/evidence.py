"""Validation of the two ONNX models: metrics, gates, golden cases, and the reference for drift detection."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from export.bundle.photos import Photos
from export.gates.class_gates import Counts
from export.gates.quality_gates import Limits, measure, parity
from runtime.bundle.golden_patterns import PATTERNS, draw
from runtime.bundle.manifest import DriftReference, Gate, GoldenCase, Unknown, UnknownMetrics, ValidationMetrics
from runtime.image import ImageSpec
from runtime.image.distributions import brightness_of, histogram
from runtime.inference.golden_record import as_recorded
from runtime.inference.interface import InferenceSession
from runtime.inference.onnxruntime_session import OnnxruntimeSession
from runtime.names import UNKNOWN
from training.data.pixels import ValidationCopies
from training.metrics.calibration import AlteredOutputs, Thresholds, thresholds_for
from training.metrics.guessing import against_guessing
from training.metrics.scores import Predictions, predictions_from, score
from training.metrics.unknown import answers, same_answers
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
    unknown: Unknown | None


def gather(
    fp32: OnnxruntimeSession,
    int8: OnnxruntimeSession,
    checkpoint: Checkpoint,
    expected: NDArray[np.float32],
    photos: Photos,
    limits: Limits,
    *,
    thresholds: Thresholds | None = None,
) -> Evidence:
    """Ask both models about the validation photos, which also set the thresholds if none are given.

    `expected` [N, C] are PyTorch's probabilities of these photos.
    `int8` must be computed exactly: what a CPU without VNNI makes of it must not be recorded.
    """
    pixels, truth, labels = photos.validation, photos.validation_truth, checkpoint.labels
    outputs_fp32, outputs_int8 = (session_probabilities(session, pixels) for session in (fp32, int8))
    says_fp32, says_int8 = (
        predictions_from(labels, photos.validation_paths, truth, outputs) for outputs in (outputs_fp32, outputs_int8)
    )
    if thresholds is None:
        thresholds = thresholds_for(
            outputs_int8,
            truth,
            len(labels),
            copies=photos.copies and _answers_to(int8, photos.copies),
            precision=limits.answered_precision,
        )

    def trained(index: int) -> Counts:
        said = session_probabilities(int8, photos.training_of(index))[:, : len(labels)].argmax(axis=1)
        return int((said == index).sum()), len(said)

    gates = measure(
        parity=parity(expected, outputs_fp32, fp32, pixels),
        fp32=says_fp32,
        int8=says_int8,
        thresholds=thresholds,
        wide_accuracy=checkpoint.wide_accuracy,
        limits=limits,
        trained=trained,
    )
    spec = ImageSpec(height=checkpoint.image_size, width=checkpoint.image_size)
    return Evidence(
        metrics=_metrics(says_fp32, says_int8, thresholds),
        gates=gates,
        against_guessing=against_guessing(says_int8.own),
        abstain_threshold=thresholds.abstain,
        golden=golden_cases(fp32, int8, spec),
        reference=drift_reference(says_int8.own, pixels[truth < len(labels)], thresholds),
        unknown=_unknown(says_int8, thresholds),
    )


def session_probabilities(session: InferenceSession, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """All outputs [N, C] for `pixels` [N, H, W, 3], one photo at a time, as a server sees them."""
    return np.concatenate([session.infer(np.ascontiguousarray(photo[np.newaxis])).probabilities for photo in pixels])


def _answers_to(session: InferenceSession, copies: ValidationCopies) -> AlteredOutputs:
    return AlteredOutputs([session_probabilities(session, pixels) for pixels in copies.kinds.values()], copies.truth)


def golden_cases(fp32: OnnxruntimeSession, int8: OnnxruntimeSession, spec: ImageSpec) -> list[GoldenCase]:
    """The golden cases of a model: of each pattern the drawings with the least confident FP32 answers.

    Unsure answers change first if a host computes something else. `int8` must be computed exactly: every host is held
    to what it answers, if the native kernel does not record it (`record_natively`).
    """
    cases = []
    for pattern in PATTERNS:
        pictures = np.stack([draw(pattern, seed, spec) for seed in range(CANDIDATES)])  # [CANDIDATES, H, W, 3]
        probabilities = fp32.infer(pictures).probabilities  # [CANDIDATES, C]
        least_sure = np.argsort(probabilities.max(axis=1), kind="stable")[:KEPT].tolist()
        for seed in least_sure:
            exact = int8.infer(pictures[seed : seed + 1]).probabilities[0]  # [C]
            cases.append(GoldenCase(pattern, seed, _rounded(probabilities[seed]), as_recorded(exact)))
    return cases


def drift_reference(predictions: Predictions, pixels: NDArray[np.uint8], thresholds: Thresholds) -> DriftReference:
    """What the appliance compares later photos with to detect drift: answers to photos of the labels.

    The mix of predicted labels, that of unknown among them if the model has it, and histograms of the labels'
    confidence and of the brightness of `pixels` [N, H, W, 3].
    """
    unknown = answers(predictions, thresholds).unknown
    names = predictions.labels if thresholds.unknown is None else [*predictions.labels, UNKNOWN]
    said = np.where(unknown, len(predictions.labels), predictions.predicted)
    shares = [round(float(count) / len(pixels), 6) for count in np.bincount(said, minlength=len(names))]
    return DriftReference(
        labels=dict(zip(names, shares, strict=True)),
        confidence=histogram(predictions.joint.max(axis=1)[~unknown]),
        brightness=histogram(brightness_of(pixels)),
    )


def _metrics(fp32: Predictions, int8: Predictions, thresholds: Thresholds) -> ValidationMetrics:
    """Figures of photos of the labels, but for the agreement, which is of all."""
    own = answers(int8.own, thresholds)
    right = own.right[own.certain]
    return ValidationMetrics(
        photos=len(int8.own.truth),
        fp32=score(fp32.own),
        int8=score(int8.own),
        agreement=float(same_answers(fp32, int8, thresholds).mean()),
        answered=float(own.certain.mean()),
        answered_precision=float(right.mean()) if own.certain.any() else 1.0,
    )


def _unknown(int8: Predictions, thresholds: Thresholds) -> Unknown | None:
    if thresholds.unknown is None:
        return None
    own, others = answers(int8.own, thresholds), answers(int8.others, thresholds)
    metrics = UnknownMetrics(
        own_photos=len(own.unknown),
        own_called_unknown=float(own.unknown.mean()),
        other_photos=len(others.unknown),
        other_answered_with_certainty=float(others.certain.mean()) if len(others.certain) else 0.0,
    )
    return Unknown(thresholds.unknown, metrics)


def _rounded(probabilities: NDArray[np.float32]) -> list[float]:
    return [round(p, 6) for p in probabilities.tolist()]
