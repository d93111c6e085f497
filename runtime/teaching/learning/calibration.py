"""Calibration on held-out photos: the temperature, and the thresholds of abstention and of the unknown class."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.inference.thresholds import abstain_threshold, unknown_threshold
from runtime.teaching.learning.exact import softmax

TEMPERATURE_RANGE = (0.05, 20.0)
# As in training (`training.metrics.calibration`): of a photo that may show each of the classes alike, without which
# photos that are all right would ask for certainty.
PRIOR_PHOTOS = 0.1
# A few photos say little about the temperature: 3 a class leave anything from 0.2 to 20. On the public photos, from 10
# to 200 a class, it is 0.65 to 0.8 on average. So its logarithm has a prior of that mean and standard deviation.
USUAL_TEMPERATURE, ITS_DEVIATION = 0.7, 0.2
_HALVINGS = 40
# Of fewer photos none can show one wrong answer in a hundred, or one photo in 25 called unknown. With 3 to 20 of the
# public photos a class, the rest are right from these on in 98.5 to 99.7 of 100 cases, and called unknown in 3 to 5.
FEW_ANSWERS, CAUTIOUS_ABSTENTION = 100, 0.9
FEW_PHOTOS, CAUTIOUS_UNKNOWN = 25, 0.6


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
        if len(truth) < FEW_PHOTOS:
            unknown = max(unknown, CAUTIOUS_UNKNOWN)
        answered = probabilities[:, -1] < unknown
    own = probabilities[answered, :labels]
    abstain = abstain_threshold(own.max(axis=1).astype(np.float32), own.argmax(axis=1) == truth[answered])
    if len(own) < FEW_ANSWERS:
        abstain = max(abstain, CAUTIOUS_ABSTENTION)
    return Calibration(temperature, abstain, unknown)


def probabilities_of(logits: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Probabilities [N, C] of `logits` [N, C]."""
    return softmax(np.ascontiguousarray(logits.T) / temperature, axis=0).T


def fit_temperature(logits: NDArray[np.float64], truth: NDArray[np.int64], weights: NDArray[np.float64]) -> float:
    """The temperature that minimises the log loss of `logits` [N, C] (Guo et al. 2017, arXiv:1706.04599, sec. 4.2).

    To the loss of a few photos, which may ask for anything, comes what USUAL_TEMPERATURE and ITS_DEVIATION ask for. The
    slope of their sum along the logarithm is searched for its zero by halving.
    """
    counted = float(np.add.reduce(weights))
    table = np.ascontiguousarray((logits - logits.max(axis=1, keepdims=True)).T)  # [C, N]
    classes, photos = table.shape
    targets = np.full((classes, photos), PRIOR_PHOTOS / classes / (counted + PRIOR_PHOTOS))
    targets[truth, np.arange(photos)] += counted / (counted + PRIOR_PHOTOS)
    wanted = np.add.reduce(targets * table, axis=0)
    low, high = TEMPERATURE_RANGE
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        mean = np.add.reduce(softmax(table / middle, axis=0) * table, axis=0)
        pull = float(np.add.reduce((mean - wanted) * weights)) / middle
        if pull < math.log(middle / USUAL_TEMPERATURE) / ITS_DEVIATION**2:
            high = middle
        else:
            low = middle
    return round((low + high) / 2, 4)
