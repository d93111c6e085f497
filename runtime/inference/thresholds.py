"""The thresholds of an answer, as photos that a model has not learned from ask for them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ANSWER_PRECISION = 0.99  # of the answers that are not called uncertain
UNKNOWN_PRICE = 0.05  # of the labels' photos may be called unknown
_AIMED_PRICE = 0.04  # on the photos that set the threshold: others differ from them by chance
# The lowest threshold that reaches a precision on some photos owes a part of it to chance. So it is found for resamples
# of them, and the one that two thirds ask for is taken: by simulation, unseen answers then have the precision on
# average, for 2 to 4 points fewer answers.
RESAMPLED = 200
ASKED_BY = 2 / 3


def unknown_threshold(own: NDArray[np.float32]) -> float:
    """The lowest probability of the unknown class from which at most one in 25 of the labels' photos is called unknown.

    `own` [N] are its probabilities for photos of the labels.
    """
    allowed = int(len(own) * _AIMED_PRICE)
    highest = float(np.sort(own)[::-1][allowed])
    return min(1.0, float(np.floor(highest * 1e4) + 1) / 1e4)


def abstain_threshold(
    confidence: NDArray[np.float32],
    right: NDArray[np.bool_],
    precision: float = ANSWER_PRECISION,
    *,
    photos: NDArray[np.int64] | None = None,
) -> float:
    """The confidence from which on answers are right with at least `precision`, on these photos and on others alike.

    `confidence` and `right` are of N answers; `photos` [N] says which photo each is about, if several are about copies
    of one. Photos are resampled with all their answers (a cluster bootstrap, since copies are no independent trials).
    For each resample it is the lowest confidence such that every answer at or above it counts; of all the one that
    ASKED_BY of them ask for. Where even the most confident answers fall short, the threshold lies above all of them:
    better uncertain than wrong.
    """
    if len(confidence) == 0:
        return 1.0
    order = np.argsort(-confidence, kind="stable")
    sorted_right, sorted_confidence = right[order], confidence[order]
    photo = order if photos is None else np.unique(photos, return_inverse=True)[1][order]
    generator = np.random.default_rng(0)
    count = int(photo.max()) + 1
    lowest = []
    for _ in range(RESAMPLED):
        times = np.bincount(generator.integers(0, count, count), minlength=count)[photo]  # [N]
        answered = times.cumsum()
        precision_at = (times * sorted_right).cumsum() / np.maximum(answered, 1)
        good = np.flatnonzero((answered > 0) & (precision_at >= precision))
        lowest.append(float(sorted_confidence[good[-1]]) if len(good) else 1.0)
    return float(np.floor(np.quantile(lowest, ASKED_BY) * 1e4) / 1e4)
