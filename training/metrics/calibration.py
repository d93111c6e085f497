"""Probability calibration: temperature scaling, the abstention threshold, and what is served of an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

TEMPERATURE_RANGE = (0.05, 20.0)
# By simulation: with 1, twenty photos of ten classes leave confidence 8 points below accuracy, with 0.1 less than one;
# with none, a handful of photos without a mistake would ask for certainty.
PRIOR_PHOTOS = 0.1
ANSWER_PRECISION = 0.99  # of the answers that are not called uncertain


@dataclass(frozen=True)
class Calibration:
    """What makes probabilities of logits, and below which confidence an answer is uncertain."""

    temperature: float
    threshold: float


def fit_temperature(logits: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    """The temperature that minimises the log loss of `logits` [N, C] (Guo et al. 2017, arXiv:1706.04599, sec. 4.2).

    Photos that happen to be classified without a mistake would ask for infinite confidence. So a photo that may show
    each of the C classes alike is added to the N, with the weight PRIOR_PHOTOS: with N photos right it leaves a
    confidence of (N + PRIOR_PHOTOS / C) / (N + PRIOR_PHOTOS). The weight is the same for any number of classes: a
    prior for each class would outweigh the photos of fifty.
    """
    photos, classes = logits.shape
    all_photos = photos + PRIOR_PHOTOS
    targets = np.full((photos, classes), PRIOR_PHOTOS / classes / all_photos)
    targets[np.arange(photos), truth] += photos / all_photos

    def loss(log_temperature: float) -> float:
        return float(-(targets * log_softmax(logits / np.exp(log_temperature), axis=1)).sum(axis=1).mean())

    bounds = (np.log(TEMPERATURE_RANGE[0]), np.log(TEMPERATURE_RANGE[1]))
    return round(float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x)), 4)


def scaled(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Probabilities [N, C] of `logits` [N, C], as the serving graph computes them."""
    probabilities: NDArray[np.float32] = softmax(logits / np.float32(temperature), axis=1)
    return probabilities


def calibrate(logits: NDArray[np.float32], truth: NDArray[np.int64]) -> Calibration:
    """The temperature and the threshold that `logits` [N, C] of validation photos ask for."""
    temperature = fit_temperature(logits, truth)
    return Calibration(temperature, abstain_threshold(scaled(logits, temperature), truth))


def cross_fitted(logits: Sequence[NDArray[np.float32]], truth: Sequence[NDArray[np.int64]]) -> list[float]:
    """A temperature for each fold's held-out logits [N, C], fitted on those of all other folds.

    Fitted on the fold's own photos it would flatter the figures of these.
    """
    return [
        fit_temperature(
            np.concatenate([part for other, part in enumerate(logits) if other != fold]),
            np.concatenate([part for other, part in enumerate(truth) if other != fold]),
        )
        for fold in range(len(logits))
    ]


def abstain_threshold(
    probabilities: NDArray[np.float32], truth: NDArray[np.int64], precision: float = ANSWER_PRECISION
) -> float:
    """The lowest confidence at which answers are right with at least `precision` on these photos.

    Every answer at or above the threshold counts. Where even the most confident photos fall short, the threshold
    lies above all of them: better uncertain than wrong.
    """
    confidence = probabilities.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    right = (probabilities.argmax(axis=1) == truth)[order]
    precision_at = right.cumsum() / np.arange(1, len(right) + 1)
    good = np.flatnonzero(precision_at >= precision)
    if len(good) == 0:
        return 1.0
    lowest = float(confidence[order[good[-1]]])
    return float(np.floor(lowest * 1e4) / 1e4)
