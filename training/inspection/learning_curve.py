"""Learning curve: accuracy by number of photos, and what twice as many would bring."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from runtime.cli.progress import progress
from training.inspection.crossvalidation import SEED, Examples, fitted

_SIZES = 5  # numbers of photos
_SMALLEST_SHARE = 1 / 16  # of the photos
_DRAWS = 2  # subsets of each size and fold
_RESAMPLES = 400
_LEVEL = 0.95
_DECAYS = (0.25, 0.5, 1.0)  # exponents that error curves have (Hestness et al. 2017: 0.07 to 0.35; few photos: to 1)
_MOST_WORK = 4000  # photos times classes, beyond which each size is drawn once


class Point(NamedTuple):
    """The accuracy after training on `photos`, and its 95 % interval."""

    photos: int
    accuracy: float
    low: float
    high: float


class LearningCurve(NamedTuple):
    """Measured accuracies, and the extrapolation to twice as many photos; `twice_gain` is its gain and interval."""

    measured: list[Point]
    line: list[Point]
    twice: Point
    gain: tuple[float, float, float]


def learning_curve(examples: Examples) -> LearningCurve | None:
    """Accuracy on held-out photos by number of photos; None where there are too few for three different numbers.

    Each fold is held out in turn, and models learn from ever more of the others, all classes in their shares. The
    intervals are from resampling the photos, near-duplicates together; extrapolated is an inverse power law, error =
    a + b n^-c, for every resample.
    """
    folds = examples.folds
    pool = int(np.mean([(folds != fold).sum() for fold in np.unique(folds)]))
    least = max(2 * len(examples.labels), round(pool * _SMALLEST_SHARE), 8)
    sizes = np.unique(np.geomspace(min(least, pool), pool, _SIZES).round().astype(int))
    if len(sizes) < 3:
        return None
    right = _right(examples, folds, sizes)
    resampled = _resampled(right, examples.groups)
    far = np.geomspace(sizes[0], 2 * sizes[-1], 40)
    lines = np.array([_power_law(sizes, accuracies, far) for accuracies in resampled])
    centre = _power_law(sizes, right.mean(axis=1), far)
    low, high = _interval(resampled)
    line_low, line_high = _interval(lines)
    measured = [Point(*point) for point in zip(sizes.tolist(), right.mean(axis=1).tolist(), low, high, strict=True)]
    line = [
        Point(round(n), *point) for n, *point in zip(far.tolist(), centre.tolist(), line_low, line_high, strict=True)
    ]
    last = int(np.abs(far - sizes[-1]).argmin())
    gains = np.quantile(lines[:, -1] - lines[:, last], [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return LearningCurve(measured, line, line[-1], (float(centre[-1] - centre[last]), *gains.tolist()))


def _right(examples: Examples, folds: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """How often each photo was named right after training on so many others, [sizes, N]."""
    draws = _DRAWS if len(folds) * len(examples.labels) <= _MOST_WORK else 1
    generator = np.random.default_rng(SEED)
    found = np.zeros((len(sizes), len(folds)))
    with progress("learning curve", len(sizes) * (int(folds.max()) + 1)) as advance:
        for fold in np.unique(folds):
            held_out, pool = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
            for row, size in enumerate(sizes.tolist()):
                times = 1 if size >= len(pool) else draws
                for _ in range(times):
                    chosen = _drawn(pool, examples.truth, size, generator)
                    said = fitted(examples.features[chosen], examples.truth[chosen]).predict(
                        examples.features[held_out]
                    )
                    found[row, held_out] += (said == examples.truth[held_out]) / times
                advance()
    return found


def _drawn(
    pool: NDArray[np.int64], truth: NDArray[np.int64], size: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """About `size` of the photos in `pool`, each class in its share and with one photo at least."""
    parts = []
    for index in np.unique(truth[pool]):
        members = pool[truth[pool] == index]
        wanted = max(1, round(len(members) * size / len(pool)))
        parts.append(generator.permutation(members)[:wanted])
    return np.concatenate(parts)


def _resampled(right: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """Accuracies by size for resamples of the near-duplicate groups, [_RESAMPLES, sizes]."""
    numbers = np.unique(groups, return_inverse=True)[1]
    sums = np.stack([np.bincount(numbers, weights=row) for row in right])  # [sizes, groups]
    counts = np.bincount(numbers)
    generator = np.random.default_rng(SEED)
    chosen = generator.integers(0, len(counts), (_RESAMPLES, len(counts)))
    found: NDArray[np.float64] = (sums[:, chosen].sum(axis=2) / counts[chosen].sum(axis=1)).T
    return found


def _power_law(
    sizes: NDArray[np.int64], accuracies: NDArray[np.float64], at: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Accuracies at other numbers of photos by the best curve 1 - (a + b n^-c), a and b not negative."""
    weights = np.sqrt(sizes / sizes.max())  # the end of the curve is what is extrapolated
    best, least = np.zeros(2), np.inf
    decay = _DECAYS[0]
    for each in _DECAYS:
        terms = np.stack([np.ones(len(sizes)), (sizes / sizes.max()) ** -each], axis=1)
        found, residual = nnls(terms * weights[:, None], (1 - accuracies) * weights)
        if residual < least:
            best, least, decay = found, residual, each
    line: NDArray[np.float64] = np.clip(1 - best[0] - best[1] * (at / sizes.max()) ** -decay, 0, 1)
    return line


def _interval(values: NDArray[np.float64]) -> tuple[list[float], list[float]]:
    low, high = np.quantile(values, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2], axis=0)
    return low.tolist(), high.tolist()
