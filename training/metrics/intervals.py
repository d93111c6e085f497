"""Confidence intervals (95 %) of proportions, their differences and means, and bootstrap for other metrics."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from training.metrics.scores import Predictions

RESAMPLES = 1000
LEVEL = 0.95
_Z = 1.959963984540054  # of a 95 % interval

Interval = tuple[float, float]
Metric = Callable[[NDArray[np.int64], NDArray[np.int64]], float]


def proportion_interval(successes: int, trials: int) -> Interval:
    """The Wilson score interval (Wilson 1927) of a proportion, which stays sensible at 0 and 1."""
    interval = binomtest(successes, trials).proportion_ci(LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def exact_interval(successes: int, trials: int) -> Interval:
    """The exact interval (Clopper and Pearson 1934) of a proportion: wider than Wilson's, never too sure."""
    interval = binomtest(successes, trials).proportion_ci(LEVEL, method="exact")
    return float(interval.low), float(interval.high)


def paired_interval(won: int, lost: int, photos: int) -> Interval:
    """The interval (Agresti and Min 2005) of the difference of two accuracies on the same photos.

    On `won` photos only the first model is right, on `lost` only the second. Half a photo is added to each cell of
    the two-by-two table; then it is Wald's interval.
    """
    won_, lost_, all_ = won + 0.5, lost + 0.5, photos + 2
    difference = (won_ - lost_) / all_
    error = math.sqrt(won_ + lost_ - (won_ - lost_) ** 2 / all_) / all_
    return max(-1.0, difference - _Z * error), min(1.0, difference + _Z * error)


def mean_interval(counts: Sequence[tuple[int, int]]) -> Interval:
    """The interval of the mean of proportions, given as (successes, trials): of balanced accuracy, over the classes.

    Wilson's intervals of the parts are put together by MOVER (Zou and Donner 2008, doi:10.1002/sim.3095).
    """
    values = np.array([successes / trials for successes, trials in counts])
    bounds = np.array([proportion_interval(*each) for each in counts])
    mean = float(values.mean())
    below, above = (float(np.sqrt(((values - bounds[:, side]) ** 2).sum())) / len(counts) for side in (0, 1))
    return max(0.0, mean - below), min(1.0, mean + above)


def bootstrap_interval(predictions: Predictions, metric: Metric, *, seed: int = 0) -> Interval:
    """The percentile bootstrap interval of `metric(truth, predicted)`, photos resampled within their class."""
    generator = np.random.default_rng(seed)
    truth, predicted = predictions.truth, predictions.predicted
    by_class = [np.flatnonzero(truth == index) for index in np.unique(truth)]
    values = []
    for _ in range(RESAMPLES):
        rows = np.concatenate([generator.choice(members, len(members)) for members in by_class])
        values.append(metric(truth[rows], predicted[rows]))
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
