"""Class balance: each class counts alike however few photos it has, and other things have a share that is stated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# How likely a photo is of none of the classes before it has been seen; the same as in training (`training.recipe`).
UNKNOWN_PRIOR = 1 / 5


def own_weights(seen: NDArray[np.bool_], truth: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """How much each of N photos counts in P problems that see some of them: `seen` and the weights are [P, N].

    The photos of a problem count 1 on average, and those of each class together as much as those of any other.
    """
    weights = np.zeros(seen.shape)
    for problem, mine in enumerate(seen):
        counts = np.bincount(truth[mine], minlength=classes)
        share = counts.sum() / np.count_nonzero(counts)
        weights[problem, mine] = share / counts[truth[mine]]
    return weights


def other_weights(own: NDArray[np.float64], seen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How much each of M photos of other things counts: `seen` and the weights are [P, M], those of the photos `own`.

    Together they count as UNKNOWN_PRIOR says beside the photos of the classes.
    """
    share = np.add.reduce(own, axis=1) * UNKNOWN_PRIOR / (1 - UNKNOWN_PRIOR)  # [P]
    weights: NDArray[np.float64] = seen * (share / np.maximum(np.count_nonzero(seen, axis=1), 1))[:, np.newaxis]
    return weights
