"""Accuracy on altered copies of the held-out photos: how much of it is left on photos as others publish them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from training.metrics.intervals import LEVEL, RESAMPLES, proportion_interval
from training.metrics.scores import Predictions


class CopyFigures(msgspec.Struct, frozen=True):
    """Accuracy on one kind of copy, 0..1, with its 95 % interval."""

    kind: str
    accuracy: float
    low: float
    high: float


class Republished(msgspec.Struct, frozen=True):
    """Accuracy over the copies of all kinds, 0..1, with its 95 % interval, and kind by kind; `seed` is the copies'."""

    accuracy: float
    low: float
    high: float
    kinds: list[CopyFigures]
    seed: int

    @property
    def worst(self) -> CopyFigures:
        """The kind on which the model is right least often."""
        return min(self.kinds, key=lambda figures: figures.accuracy)


def evaluate_copies(copies: Mapping[str, Predictions], seed: int) -> Republished:
    """Score what was said of a copy of each of the same N photos, by kind of copy.

    The interval over all kinds resamples photos with all their copies, which are no independent trials.
    """
    right = {kind: said.predicted == said.truth for kind, said in copies.items()}
    by_photo = np.mean(list(right.values()), axis=0)  # [N]
    low, high = _interval_of_mean(by_photo)
    kinds = [
        CopyFigures(kind, float(hits.mean()), *proportion_interval(int(hits.sum()), len(hits)))
        for kind, hits in right.items()
    ]
    return Republished(float(by_photo.mean()), low, high, kinds, seed)


def _interval_of_mean(values: NDArray[np.float64]) -> tuple[float, float]:
    generator = np.random.default_rng(0)
    means = [generator.choice(values, len(values)).mean() for _ in range(RESAMPLES)]
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
