"""Interleaved sampling, medians and bootstrap confidence intervals, for a noisy machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from runtime.cli.progress import progress

RESAMPLES = 2000
FEWEST = 6  # the first number of samples whose range holds the median with 95 %: 1 - 2 / 2**6
FEWEST_P95 = 20  # with fewer, the 95th percentile is the slowest sample
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

    @property
    def differs(self) -> bool:
        """Of a ratio: whether its interval leaves out 1."""
        return not self.low <= 1 <= self.high


def interleave(
    contenders: Mapping[str, Callable[[], T]], rounds: int, *, warm_up: int = 2, what: str
) -> dict[str, list[T]]:
    """What each contender returned in each of `rounds`; they take turns.

    Another one begins each round, and after each full rotation the direction turns, so that each contender follows
    every other equally often: what one leaves behind (caches, spinning threads) meets all.
    """
    names = list(contenders)
    samples: dict[str, list[T]] = {name: [] for name in names}
    with progress(what, (rounds + warm_up) * len(names)) as advance:
        for turn in range(rounds + warm_up):
            for name in order(names, turn):
                result = contenders[name]()
                if turn >= warm_up:
                    samples[name].append(result)
                advance()
    return samples


def order(names: Sequence[str], turn: int) -> list[str]:
    """Who goes when in one round."""
    rotations, first = divmod(turn, len(names))
    rotated = [*names[first:], *names[:first]]
    return rotated[::-1] if rotations % 2 else rotated


def p95_of(samples: Sequence[float]) -> float | None:
    """The 95th percentile; None where there are too few samples for one."""
    return float(np.quantile(samples, 0.95)) if len(samples) >= FEWEST_P95 else None


def median_of(samples: Sequence[float], *, seed: int = 0) -> Estimate:
    """The median, with a percentile bootstrap interval; of fewer than FEWEST samples the range from end to end."""
    values = np.asarray(samples, np.float64)
    if len(values) < FEWEST:
        return Estimate(float(np.median(values)), float(values.min()), float(values.max()))
    return _estimate(float(np.median(values)), np.median(values[_resamples(len(values), seed)], axis=1))


def mean_of(samples: Sequence[float], *, seed: int = 0) -> Estimate:
    """The mean, with a percentile bootstrap interval; of fewer than FEWEST samples the range from end to end."""
    values = np.asarray(samples, np.float64)
    if len(values) < FEWEST:
        return Estimate(float(values.mean()), float(values.min()), float(values.max()))
    return _estimate(float(values.mean()), values[_resamples(len(values), seed)].mean(axis=1))


def ratio_of_medians(numerator: Sequence[float], denominator: Sequence[float], *, seed: int = 0) -> Estimate:
    """How many times larger one median is than the other, with a percentile bootstrap interval.

    The samples are pairs, one of each round, and are drawn as pairs: what a round had in common (its photo, the
    machine's mood) widens no interval. Of fewer than FEWEST pairs the interval is the range of their ratios, which
    holds the ratio of the medians. Raises ValueError for unequal numbers.
    """
    if len(numerator) != len(denominator):
        raise ValueError(f"{len(numerator)} and {len(denominator)} samples do not pair")
    above, below = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    if len(above) < FEWEST:
        ratios = above / below
        return Estimate(float(np.median(above) / np.median(below)), float(ratios.min()), float(ratios.max()))
    rows = _resamples(len(above), seed)
    resampled = np.median(above[rows], axis=1) / np.median(below[rows], axis=1)
    return _estimate(float(np.median(above) / np.median(below)), resampled)


def share_of(seconds: Sequence[Sequence[float]], *, seed: int = 0) -> Estimate:
    """The share of what is true (1, else 0) in all `seconds`, with a block bootstrap interval: whole seconds are drawn.

    Answers of one second resemble one another, so to draw them one by one would promise too narrow an interval.
    """
    return _of_blocks(_share, _blocks(seconds), seed)


def p99_of(seconds: Sequence[Sequence[float]], *, seed: int = 0) -> Estimate:
    """The 99th percentile over all `seconds`, with a block bootstrap interval; infinite where there is no sample."""
    blocks = _blocks(seconds)
    return _of_blocks(_p99, blocks, seed) if blocks else Estimate(np.inf, np.inf, np.inf)


def ratio_of_p99(numerator: Sequence[Sequence[float]], denominator: Sequence[Sequence[float]]) -> Estimate:
    """How many times larger one 99th percentile is than the other; the seconds of both are drawn independently.

    Infinite where there is no sample of one.
    """
    above, below = _blocks(numerator), _blocks(denominator)
    if not (above and below):
        return Estimate(np.inf, np.inf, np.inf)
    rng = np.random.default_rng(0)
    resampled = [_p99(_drawn(above, rng)) / _p99(_drawn(below, rng)) for _ in range(RESAMPLES // 4)]
    return _estimate(_p99(above) / _p99(below), np.array(resampled))


def _of_blocks(figure: Callable[[list[NDArray[np.float64]]], float], blocks: list[NDArray[np.float64]],
               seed: int) -> Estimate:  # fmt: skip
    rng = np.random.default_rng(seed)
    return _estimate(figure(blocks), np.array([figure(_drawn(blocks, rng)) for _ in range(RESAMPLES // 4)]))


def _blocks(seconds: Sequence[Sequence[float]]) -> list[NDArray[np.float64]]:
    return [np.asarray(second, np.float64) for second in seconds if len(second)]


def _drawn(blocks: list[NDArray[np.float64]], rng: np.random.Generator) -> list[NDArray[np.float64]]:
    return [blocks[row] for row in rng.integers(0, max(1, len(blocks)), len(blocks))]


def _share(blocks: list[NDArray[np.float64]]) -> float:
    return float(np.mean(np.concatenate(blocks))) if blocks else 0.0


def _p99(blocks: list[NDArray[np.float64]]) -> float:
    return float(np.quantile(np.concatenate(blocks), 0.99))


def _resamples(count: int, seed: int) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, count, (RESAMPLES, count))


def _estimate(value: float, resampled: NDArray[np.float64]) -> Estimate:
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Estimate(float(value), float(low), float(high))
