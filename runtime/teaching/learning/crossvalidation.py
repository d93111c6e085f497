"""Cross-validation: which photos each fold holds out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FOLDS = 5
# With so few photos in the largest class each fold holds out one of each class: more would leave too few to learn from.
LEAVE_ONE_OUT = 10


def folds_of(
    truth: NDArray[np.int64], groups: NDArray[np.int64], *, folds: int | None = None, seed: int = 0
) -> NDArray[np.int64]:
    """The fold [N] that holds each photo out: as many photos of each class in all folds, and groups kept whole.

    `truth` [N] are the classes, `groups` [N] the numbers of groups within a class. `folds` is their number, that of
    `fold_count` if not given.
    """
    number = fold_count(truth, groups) if folds is None else folds
    generator = np.random.default_rng(seed)
    counts = np.zeros((int(truth.max(initial=0)) + 1, number), np.int64)  # of each class in each fold
    found = np.zeros(len(truth), np.int64)
    members = [np.flatnonzero(groups == each) for each in generator.permutation(np.unique(groups))]
    for group in sorted(members, key=len, reverse=True):
        mine = truth[group[0]]
        found[group] = fold = np.lexsort((counts.sum(axis=0), counts[mine]))[0]
        counts[mine, fold] += len(group)
    return found


def fold_count(truth: NDArray[np.int64], groups: NDArray[np.int64]) -> int:
    """FOLDS, or as many as the largest class has groups if these are few."""
    largest = max(len(np.unique(groups[truth == each])) for each in np.unique(truth))
    return largest if largest <= LEAVE_ONE_OUT else FOLDS
