"""Probability calibration: temperature scaling, and the thresholds of abstention and of the unknown class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from training.metrics.priors import photo_weights

TEMPERATURE_RANGE = (0.05, 20.0)
# By simulation: with 1, twenty photos of ten classes leave confidence 8 points below accuracy, with 0.1 less than one;
# with none, a handful of photos without a mistake would ask for certainty.
PRIOR_PHOTOS = 0.1
ANSWER_PRECISION = 0.99  # of the answers that are not called uncertain
UNKNOWN_PRICE = 0.05  # of the labels' photos may be called unknown
_AIMED_PRICE = 0.04  # on the photos that set the threshold: others differ from them by chance


@dataclass(frozen=True)
class Thresholds:
    """Below the probability `abstain` of its label an answer is uncertain; from that of `unknown` on it is unknown.

    `unknown` is None for a model without that class.
    """

    abstain: float
    unknown: float | None = None


@dataclass(frozen=True)
class Calibration:
    """What makes probabilities of logits, below which confidence an answer is uncertain, and when it is unknown."""

    temperature: float
    threshold: float
    unknown_threshold: float | None = None

    @property
    def thresholds(self) -> Thresholds:
        """The thresholds alone."""
        return Thresholds(self.threshold, self.unknown_threshold)


def fit_temperature(
    logits: NDArray[np.float32], truth: NDArray[np.int64], weights: NDArray[np.float64] | None = None
) -> float:
    """The temperature that minimises the log loss of `logits` [N, C] (Guo et al. 2017, arXiv:1706.04599, sec. 4.2).

    Photos that happen to be classified without a mistake would ask for infinite confidence. So a photo that may show
    each of the C classes alike is added to the N, with the weight PRIOR_PHOTOS: with N photos right it leaves a
    confidence of (N + PRIOR_PHOTOS / C) / (N + PRIOR_PHOTOS). The weight is the same for any number of classes: a
    prior for each class would outweigh the photos of fifty.

    `weights` [N] say for how many photos each counts; 1 if not given.
    """
    photos, classes = logits.shape
    counted = photos if weights is None else float(weights.sum())
    all_photos = counted + PRIOR_PHOTOS
    targets = np.full((photos, classes), PRIOR_PHOTOS / classes / all_photos)
    targets[np.arange(photos), truth] += counted / all_photos

    def loss(log_temperature: float) -> float:
        losses = -(targets * log_softmax(logits / np.exp(log_temperature), axis=1)).sum(axis=1)
        return float(np.average(losses, weights=weights))

    bounds = (np.log(TEMPERATURE_RANGE[0]), np.log(TEMPERATURE_RANGE[1]))
    return round(float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x)), 4)


def scaled(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Probabilities [N, C] of `logits` [N, C], as the serving graph computes them."""
    probabilities: NDArray[np.float32] = softmax(logits / np.float32(temperature), axis=1)
    return probabilities


def calibrate(
    logits: NDArray[np.float32],
    truth: NDArray[np.int64],
    labels: int | None = None,
    *,
    copies: Sequence[NDArray[np.float32]] = (),
) -> Calibration:
    """The temperature and the thresholds that `logits` [N, C] of validation photos ask for.

    The class after the first `labels` ones, where there is one, is the unknown class; `copies` are logits of altered
    photos of the labels, [M, C] each.
    """
    temperature = fit_temperature(logits, truth, _weights(truth, labels))
    found = thresholds_for(
        scaled(logits, temperature),
        truth,
        logits.shape[1] if labels is None else labels,
        copies=[scaled(part, temperature) for part in copies],
    )
    return Calibration(temperature, found.abstain, found.unknown)


def cross_fitted(
    logits: Sequence[NDArray[np.float32]], truth: Sequence[NDArray[np.int64]], labels: int | None = None
) -> list[float]:
    """A temperature for each fold's held-out logits [N, C], fitted on those of all other folds.

    Fitted on the fold's own photos it would flatter the figures of these.
    """
    return [
        fit_temperature(
            np.concatenate([part for other, part in enumerate(logits) if other != fold]),
            elsewhere := np.concatenate([part for other, part in enumerate(truth) if other != fold]),
            _weights(elsewhere, labels),
        )
        for fold in range(len(logits))
    ]


def thresholds_for(
    outputs: NDArray[np.float32],
    truth: NDArray[np.int64],
    labels: int,
    *,
    copies: Sequence[NDArray[np.float32]] = (),
    precision: float = ANSWER_PRECISION,
) -> Thresholds:
    """The thresholds that these photos ask for, of which `outputs` [N, C] are the probabilities.

    Where there is an unknown class, one more than `labels`, its threshold comes first: set by the labels' photos and
    by `copies` of such photos, [M, C] each. Abstention is then for what is not unknown.
    """
    if outputs.shape[1] == labels:
        return Thresholds(abstain_threshold(outputs, truth, precision))
    own = truth < labels
    unknown = unknown_threshold(np.concatenate([outputs[own, -1], *(part[:, -1] for part in copies)]))
    answered = own & (outputs[:, -1].astype(np.float64) < unknown)  # in float32 it might equal a rounded threshold
    return Thresholds(abstain_threshold(outputs[answered, :labels], truth[answered], precision), unknown)


def nested_thresholds(
    logits: Sequence[NDArray[np.float32]],
    copies: Sequence[Mapping[str, NDArray[np.float32]]],
    truth: Sequence[NDArray[np.int64]],
    labels: int,
    temperatures: Sequence[float],
) -> list[Thresholds]:
    """Thresholds for each fold's held-out photos, set on those of all other folds and on their copies.

    `logits` [N, C] and `copies` are the folds', `temperatures` those of `cross_fitted`.
    """
    found = []
    for fold, temperature in enumerate(temperatures):
        others = [other for other in range(len(logits)) if other != fold]
        own_copies = [part[truth[other] < labels] for other in others for part in copies[other].values()]
        found.append(
            thresholds_for(
                scaled(np.concatenate([logits[other] for other in others]), temperature),
                np.concatenate([truth[other] for other in others]),
                labels,
                copies=[scaled(part, temperature) for part in own_copies],
            )
        )
    return found


def unknown_threshold(own: NDArray[np.float32]) -> float:
    """The lowest probability of the unknown class from which at most one in 25 of the labels' photos is called unknown.

    `own` [N] are its probabilities for photos of the labels.
    """
    allowed = int(len(own) * _AIMED_PRICE)
    highest = float(np.sort(own)[::-1][allowed])
    return min(1.0, float(np.floor(highest * 1e4) + 1) / 1e4)


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


def _weights(truth: NDArray[np.int64], labels: int | None) -> NDArray[np.float64] | None:
    return None if labels is None else photo_weights(truth, labels)
