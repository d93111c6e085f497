"""Figures with their 95 % intervals."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from training.metrics.intervals import LEVEL, RESAMPLES, proportion_interval


class Figured(msgspec.Struct, frozen=True):
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """In per cent, for a terminal."""
        return f"{self.value:.1%} ({self.low:.1%} to {self.high:.1%})"


def proportion(successes: int, trials: int) -> Figured:
    """The share of independent trials; anything from 0 to 1 where there are none."""
    if trials == 0:
        return Figured(0.0, 0.0, 1.0)
    return Figured(successes / trials, *proportion_interval(successes, trials))


def share_of_copies(successes: NDArray[np.int64], trials: NDArray[np.int64]) -> Figured:
    """The share of trials of N photos, of which each [N] has several, one for each of its copies.

    Copies of one photo are no independent trials: photos are resampled with all their copies. Where all trials end
    alike, no resample can differ; then the interval is that of the photos, one trial each.
    """
    if trials.max(initial=0) <= 1:
        return proportion(int(successes.sum()), int(trials.sum()))
    value = float(successes.sum() / trials.sum()) if trials.sum() else 0.0
    if value in {0.0, 1.0}:
        photos = int((trials > 0).sum())
        return proportion(round(value * photos), photos)
    rows = np.random.default_rng(0).integers(0, len(trials), (RESAMPLES, len(trials)))
    shares = successes[rows].sum(axis=1) / np.maximum(trials[rows].sum(axis=1), 1)
    low, high = np.quantile(shares, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Figured(value, float(low), float(high))
