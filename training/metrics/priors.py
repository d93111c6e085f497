"""Priors of the classes: how likely each is before a photo has been seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.recipe import UNKNOWN_PRIOR


def class_priors(labels: int, *, unknown: bool, prior: float = UNKNOWN_PRIOR) -> NDArray[np.float64]:
    """The probability of each of `labels` classes, all alike, and of the unknown class as the last if there is one.

    That of the unknown class is `prior`.
    """
    if not unknown:
        return np.full(labels, 1 / labels)
    return np.append(np.full(labels, (1 - prior) / labels), prior)


def photo_weights(truth: NDArray[np.int64], labels: int) -> NDArray[np.float64] | None:
    """Weights [N] by which photos of other things, with a class index of `labels`, count as their prior says.

    Those of the classes count 1 each; None where there are no others.
    """
    own, others = int((truth < labels).sum()), int((truth >= labels).sum())
    if not own or not others:
        return None
    return np.where(truth < labels, 1.0, own / others * UNKNOWN_PRIOR / (1 - UNKNOWN_PRIOR))
