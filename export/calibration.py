"""Probability calibration: temperature scaling, and the abstention threshold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

TEMPERATURE_RANGE = (0.2, 5.0)


def fit_temperature(logits: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    """The temperature that minimises the log loss of `logits` [N, C] (Guo et al. 2017, arXiv:1706.04599, sec. 4.2).

    Photos that happen to be classified without a mistake would ask for infinite confidence. So the target of a class
    with n photos is not 1 but (n + 1) / (n + C), as if each other class had been seen there once (Platt 1999,
    "Probabilistic Outputs for Support Vector Machines", sec. 2.2, for C classes).
    """
    classes = logits.shape[1]
    seen = np.bincount(truth, minlength=classes)[truth]
    targets = np.repeat(1 / (seen + classes), classes).reshape(len(truth), classes)
    targets[np.arange(len(truth)), truth] *= seen + 1

    def loss(temperature: float) -> float:
        return float(-(targets * log_softmax(logits / temperature, axis=1)).sum(axis=1).mean())

    return round(float(minimize_scalar(loss, bounds=TEMPERATURE_RANGE, method="bounded").x), 4)


def abstain_threshold(probabilities: NDArray[np.float32], truth: NDArray[np.int64], precision: float) -> float:
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
