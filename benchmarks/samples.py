"""Comparing contenders on a noisy machine: in turn, many times, by medians with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from training.progress import progress

RESAMPLES = 2000
CLEAR = 0.2  # a ratio whose interval is wider than this share of it decides nothing

T = TypeVar("T")


class Estimate(msgspec.Struct, frozen=True):
    """A figure and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether the interval is narrow enough to quote the figure."""
        return self.high - self.low <= CLEAR * self.value


def interleave(
    contenders: Mapping[str, Callable[[], T]], rounds: int, *, warm_up: int = 2, what: str
) -> dict[str, list[T]]:
    """What each contender returned in each of `rounds`; they take turns, and another one begins each round."""
    names = list(contenders)
    samples: dict[str, list[T]] = {name: [] for name in names}
    with progress(what, (rounds + warm_up) * len(names)) as advance:
        for turn in range(rounds + warm_up):
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                result = contenders[name]()
                if turn >= warm_up:
                    samples[name].append(result)
                advance()
    return samples


def median_of(samples: Sequence[float], *, seed: int = 0) -> Estimate:
    """The median, with a percentile bootstrap interval."""
    return _estimate(np.median(samples), np.median(_resampled(samples, seed), axis=1))


def ratio_of_medians(numerator: Sequence[float], denominator: Sequence[float], *, seed: int = 0) -> Estimate:
    """How many times larger one median is than the other, with a percentile bootstrap interval."""
    resampled = np.median(_resampled(numerator, seed), axis=1) / np.median(_resampled(denominator, seed + 1), axis=1)
    return _estimate(np.median(numerator) / np.median(denominator), resampled)


def _resampled(samples: Sequence[float], seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).choice(np.asarray(samples, np.float64), (RESAMPLES, len(samples)))


def _estimate(value: float, resampled: NDArray[np.float64]) -> Estimate:
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Estimate(float(value), float(low), float(high))
