"""Probability calibration: temperature scaling, and the thresholds of abstention and of the unknown class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from runtime.inference.thresholds import ANSWER_PRECISION, abstain_threshold, unknown_threshold
from training.metrics.priors import photo_weights

TEMPERATURE_RANGE = (0.05, 20.0)
# By simulation: with 1, twenty photos of ten classes leave confidence 8 points below accuracy, with 0.1 less than one;
# with none, a handful of photos without a mistake would ask for certainty.
PRIOR_PHOTOS = 0.1


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


@dataclass(frozen=True)
class AlteredOutputs:
    """Logits or probabilities of altered copies of P photos of the labels: [P, C] for each kind; their truth is [P]."""

    kinds: Sequence[NDArray[np.float32]]
    truth: NDArray[np.int64]

    def scaled(self, temperature: float) -> AlteredOutputs:
        """The probabilities of logits."""
        return AlteredOutputs([scaled(part, temperature) for part in self.kinds], self.truth)


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
    copies: AlteredOutputs | None = None,
) -> Calibration:
    """The temperature and the thresholds that `logits` [N, C] of validation photos ask for.

    The class after the first `labels` ones, where there is one, is the unknown class; `copies` are logits of altered
    photos of the labels.
    """
    temperature = fit_temperature(logits, truth, _weights(truth, labels))
    found = thresholds_for(
        scaled(logits, temperature),
        truth,
        logits.shape[1] if labels is None else labels,
        copies=copies and copies.scaled(temperature),
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
    copies: AlteredOutputs | None = None,
    precision: float = ANSWER_PRECISION,
) -> Thresholds:
    """The thresholds that these photos ask for, of which `outputs` [N, C] are the probabilities.

    Where there is an unknown class, one more than `labels`, its threshold comes first: set by the labels' photos and
    by their altered `copies`. Abstention is then for what is not unknown; it has to keep the precision on the photos as
    they are, and on their copies.
    """
    own = truth < labels
    trials = [AlteredOutputs([outputs[own]], truth[own]), *([copies] if copies else [])]
    unknown = None
    if outputs.shape[1] > labels:
        unknown = unknown_threshold(np.concatenate([part[:, -1] for trial in trials for part in trial.kinds]))
    return Thresholds(max(_abstain_threshold(trial, labels, unknown, precision) for trial in trials), unknown)


def pooled_copies(
    copies: Sequence[Mapping[str, NDArray[np.float32]]], truth: Sequence[NDArray[np.int64]], labels: int
) -> AlteredOutputs | None:
    """The copies of the labels' photos in several folds, one fold after the other; None where there are no copies."""
    own = [part < labels for part in truth]
    kinds = [np.concatenate([fold[kind][mine] for fold, mine in zip(copies, own, strict=True)]) for kind in copies[0]]
    return AlteredOutputs(kinds, np.concatenate([part[part < labels] for part in truth])) if kinds else None


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
        theirs = pooled_copies([copies[other] for other in others], [truth[other] for other in others], labels)
        found.append(
            thresholds_for(
                scaled(np.concatenate([logits[other] for other in others]), temperature),
                np.concatenate([truth[other] for other in others]),
                labels,
                copies=theirs and theirs.scaled(temperature),
            )
        )
    return found


def _abstain_threshold(trial: AlteredOutputs, labels: int, unknown: float | None, precision: float) -> float:
    """Of answers that are not unknown."""
    outputs = np.concatenate(trial.kinds)  # [K x P, C]
    own, truth = outputs[:, :labels], np.tile(trial.truth, len(trial.kinds))
    photos = np.tile(np.arange(len(trial.truth)), len(trial.kinds))
    # In float32 it might equal a rounded threshold.
    answered = np.ones(len(outputs), bool) if unknown is None else outputs[:, -1].astype(np.float64) < unknown
    return abstain_threshold(
        own.max(axis=1)[answered], (own.argmax(axis=1) == truth)[answered], precision, photos=photos[answered]
    )


def _weights(truth: NDArray[np.int64], labels: int | None) -> NDArray[np.float64] | None:
    return None if labels is None else photo_weights(truth, labels)
