"""Which photos an epoch shows: all of the classes, and as many of other things as make a third of them.

There may be many more photos of other things than of the classes. Shown all, they would take most of the time and of
each batch; each epoch draws others, so that few are left out in the end.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from training.recipe import UNKNOWN_SHARE


def epoch_size(truth: NDArray[np.int64], labels: int) -> int:
    """How many photos an epoch shows, of those with class indices `truth` [N]; from `labels` on they are of others."""
    return int((truth < labels).sum()) + _other_count(truth, labels)


def epoch_rows(truth: NDArray[np.int64], labels: int, generator: Generator) -> Tensor:
    """The rows of the photos of one epoch, shuffled: int64 [`epoch_size`]."""
    if not (truth >= labels).any():
        return torch.randperm(len(truth), generator=generator)
    own, others = (torch.from_numpy(np.flatnonzero(part)) for part in (truth < labels, truth >= labels))
    drawn = others[torch.randperm(len(others), generator=generator)[: _other_count(truth, labels)]]
    rows = torch.cat([own, drawn])
    return rows[torch.randperm(len(rows), generator=generator)]


def epoch_counts(truth: NDArray[np.int64], labels: int, classes: int) -> NDArray[np.int64]:
    """How many photos of each class an epoch shows, [`classes`]."""
    counts = np.bincount(truth, minlength=classes)
    counts[labels:] = np.minimum(counts[labels:], _other_count(truth, labels))
    return counts


def _other_count(truth: NDArray[np.int64], labels: int) -> int:
    own = int((truth < labels).sum())
    return min(len(truth) - own, round(own * UNKNOWN_SHARE / (1 - UNKNOWN_SHARE)))
