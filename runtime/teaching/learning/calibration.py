"""Calibration on held-out photos: the temperature, and the thresholds of abstention and of the unknown class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.inference.thresholds import abstain_threshold, unknown_threshold
from runtime.teaching.learning.exact import softmax

TEMPERATURE_RANGE = (0.05, 20.0)
# As in training (`training.metrics.calibration`): of a photo that may show each of the classes alike, without which
# photos that are all right would ask for certainty.
PRIOR_PHOTOS = 0.1
_MOST_STEPS = 60


@dataclass(frozen=True)
class Calibration:
    """Probabilities are the softmax of logits / `temperature`.

    Below the probability `abstain` of its label an answer is uncertain; from that of `unknown` on it is unknown, which
    is None without an unknown class.
    """

    temperature: float
    abstain: float
    unknown: float | None


def thresholds_for(
    probabilities: NDArray[np.float64], truth: NDArray[np.int64], labels: int, temperature: float
) -> Calibration:
    """The thresholds that held-out `probabilities` [N, C] of photos of the labels ask for."""
    unknown = None
    answered = np.ones(len(truth), bool)
    if probabilities.shape[1] > labels:
        unknown = unknown_threshold(probabilities[:, -1].astype(np.float32))
        answered = probabilities[:, -1] < unknown
    own = probabilities[answered, :labels]
    abstain = abstain_threshold(own.max(axis=1).astype(np.float32), own.argmax(axis=1) == truth[answered])
    return Calibration(temperature, abstain, unknown)


def probabilities_of(logits: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Probabilities [N, C] of `logits` [N, C]."""
    return softmax(np.ascontiguousarray(logits.T) / temperature, axis=0).T


def fit_temperature(logits: NDArray[np.float64], truth: NDArray[np.int64], weights: NDArray[np.float64]) -> float:
    """The temperature that minimises the log loss of `logits` [N, C] (Guo et al. 2017, arXiv:1706.04599, sec. 4.2).

    The loss is convex in the inverse of the temperature, of which Newton's method finds the zero of the slope; where a
    step leaves what is known to hold it, the middle is taken.
    """
    counted = float(np.add.reduce(weights))
    table = np.ascontiguousarray(logits.T) - logits.max(axis=1)  # [C, N]
    classes, photos = table.shape
    targets = np.full((classes, photos), PRIOR_PHOTOS / classes / (counted + PRIOR_PHOTOS))
    targets[truth, np.arange(photos)] += counted / (counted + PRIOR_PHOTOS)
    wanted = np.add.reduce(np.add.reduce(targets * table, axis=0) * weights)
    low, high = 1 / TEMPERATURE_RANGE[1], 1 / TEMPERATURE_RANGE[0]
    inverse = 1.0
    for _ in range(_MOST_STEPS):
        shares = softmax(table * inverse, axis=0)
        mean = np.add.reduce(shares * table, axis=0)
        slope = np.add.reduce(mean * weights) - wanted
        bend = np.add.reduce((np.add.reduce(shares * table * table, axis=0) - mean * mean) * weights)
        low, high = (low, inverse) if slope > 0 else (inverse, high)
        step = inverse - slope / max(float(bend), np.finfo(np.float64).tiny)
        following = float(step) if low < step < high else (low + high) / 2
        if abs(following - inverse) <= 1e-7 * inverse:
            break
        inverse = following
    return round(1 / inverse, 4)
