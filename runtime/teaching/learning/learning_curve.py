"""The learning curve: what more photos of a class would probably bring."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

MORE = 10  # photos
# Errors fall as a power of the number of photos (Hestness et al. 2017, arXiv:1712.00409). On the public photos, from 3
# to 160 a class, the power is 0.3 to 0.4. Two points of one data set say little about it, so this counts as a further
# observation with that standard deviation.
USUAL_POWER, ITS_DEVIATION = 0.35, 0.15
LEAST_PHOTOS = 5  # of a class, below which its recall says nothing
_FLATTEST, _STEEPEST = 0.05, 1.0


def power_of(few_wrong: int, many_wrong: int, ratio: float) -> float:
    """The power by which errors fall: `few_wrong` and `many_wrong` of the same photos, the latter by a model that has
    learned from `ratio` times as many.

    The logarithm of a count has a variance of about one over the count.
    """
    steps = math.log(ratio)
    measured = math.log((few_wrong + 0.5) / (many_wrong + 0.5)) / steps
    trust = steps**2 / (1 / (few_wrong + 0.5) + 1 / (many_wrong + 0.5))
    prior = 1 / ITS_DEVIATION**2
    return min(_STEEPEST, max(_FLATTEST, (measured * trust + USUAL_POWER * prior) / (trust + prior)))


def next_ten(counts: NDArray[np.int64], right: NDArray[np.int64], power: float) -> list[float | None]:
    """By how much ten more photos of each class would probably raise the accuracy, where each class counts alike.

    `counts` [C] are the photos of the classes, of which `right` [C] were recognised. The error of a class without one
    is that of half a photo.
    """
    gains: list[float | None] = []
    for photos, hits in zip(counts.tolist(), right.tolist(), strict=True):
        error = (photos - hits + 0.5) / (photos + 1)
        gain = error * (1 - ((photos + MORE) / photos) ** -power) / len(counts)
        gains.append(round(gain, 4) if photos >= LEAST_PHOTOS else None)
    return gains
