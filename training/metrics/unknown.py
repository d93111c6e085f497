"""Open-set recognition: what a model with an unknown class answers to photos of its labels and of other things."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from training.metrics.calibration import Thresholds
from training.metrics.scores import Predictions


@dataclass(frozen=True)
class Answers:
    """What is answered to N photos: `unknown`, or a label, which is `certain` or not, and `right` or not; each [N]."""

    unknown: NDArray[np.bool_]
    certain: NDArray[np.bool_]
    right: NDArray[np.bool_]


def answers(said: Predictions, thresholds: Thresholds) -> Answers:
    """The answers that are served with these thresholds (`runtime.inference.predictions.predict`)."""
    unknown = np.zeros(len(said.truth), bool)
    if said.unknown is not None and thresholds.unknown is not None:
        unknown = said.unknown.astype(np.float64) >= thresholds.unknown
    certain = ~unknown & (said.joint.max(axis=1).astype(np.float64) >= thresholds.abstain)
    return Answers(unknown, certain, said.predicted == said.truth)


def same_answers(one: Predictions, other: Predictions, thresholds: Thresholds) -> NDArray[np.bool_]:
    """Whether two models give the same label, or both none, to each of the same N photos: [N]."""
    mine, theirs = answers(one, thresholds).unknown, answers(other, thresholds).unknown
    same: NDArray[np.bool_] = (mine & theirs) | (~mine & ~theirs & (one.predicted == other.predicted))
    return same


def pooled_answers(parts: Sequence[Answers]) -> Answers:
    """The answers of all folds, one after the other."""
    return Answers(
        np.concatenate([part.unknown for part in parts]),
        np.concatenate([part.certain for part in parts]),
        np.concatenate([part.right for part in parts]),
    )


def unknown_auroc(said: Predictions) -> float | None:
    """The area under the ROC curve of the unknown class, 0..1: 1 if each other photo is above each of the labels'.

    None for a model without that class, or where photos of one side are missing.
    """
    other = said.truth >= len(said.labels)
    if said.unknown is None or other.all() or not other.any():
        return None
    return float(roc_auc_score(other, said.unknown))
