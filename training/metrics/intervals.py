"""Confidence intervals (95 %): Wilson for proportions, bootstrap for other metrics."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from training.metrics.scores import Predictions

RESAMPLES = 1000
LEVEL = 0.95

Interval = tuple[float, float]
Metric = Callable[[NDArray[np.int64], NDArray[np.int64]], float]


def proportion_interval(successes: int, trials: int) -> Interval:
    """The Wilson score interval (Wilson 1927) of a proportion, which stays sensible at 0 and 1."""
    interval = binomtest(successes, trials).proportion_ci(LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


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
