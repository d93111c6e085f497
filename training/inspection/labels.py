"""Label checks: photos that cross-validation holds for mislabelled, and classes that it confuses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_SURE = 0.25  # of a class's own photos are named with less confidence


class Suspect(NamedTuple):
    """The photo in position `row`, which looks like `looks_like`; `sure` is the probability of that class."""

    row: int
    looks_like: str
    sure: float


class Confusion(NamedTuple):
    """Photos of the class `label` that were held for the class `said`: how many, and their share of the class."""

    label: str
    said: str
    photos: int
    share: float


def suspects(probabilities: NDArray[np.float64], truth: NDArray[np.int64], labels: Sequence[str]) -> list[Suspect]:
    """Photos that are probably under the wrong label, worst first (confident learning, Northcutt et al. 2021).

    A photo is suspect where another class is more probable than its own, and more so than for a quarter of that class's
    own photos. (The paper takes their mean, which half of all wrong labels miss where probabilities are modest.) The
    worst have the largest gap between the two.
    """
    classes = range(len(labels))
    usual = np.array([np.quantile(probabilities[truth == index, index], _SURE) for index in classes])
    own = probabilities[np.arange(len(truth)), truth]
    confident = np.where(probabilities >= usual, probabilities, 0)
    confident[np.arange(len(truth)), truth] = 0
    other = confident.argmax(axis=1)
    gap = confident.max(axis=1) - own
    rows = np.flatnonzero(gap > 0)
    worst = rows[np.argsort(-gap[rows], kind="stable")].tolist()
    return [Suspect(row, labels[other[row]], float(probabilities[row, other[row]])) for row in worst]


def confusions(counts: NDArray[np.int64], labels: Sequence[str]) -> list[Confusion]:
    """The pairs of classes that are confused, most photos first, of a matrix [true class, said class]."""
    found = [
        Confusion(labels[row], labels[column], int(counts[row, column]), float(counts[row, column] / counts[row].sum()))
        for row, column in zip(*np.nonzero(counts), strict=True)
        if row != column
    ]
    return sorted(found, key=lambda one: (-one.photos, -one.share))
