"""Class imbalance: a loss by which a rare class is learned as well as a common one."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from training.learning.sampling import epoch_counts


def class_shares(truth: NDArray[np.int64], classes: int, *, labels: int | None = None) -> Tensor:
    """The share of each class among the photos with class indices `truth` [N] that an epoch shows: [C], none of them 0.

    The classes from `labels` on, if there are any, are of other things.
    """
    counts = np.maximum(epoch_counts(truth, classes if labels is None else labels, classes), 1)
    return torch.from_numpy((counts / counts.sum()).astype(np.float32))


def balanced_cross_entropy(
    logits: Tensor, truth: Tensor, shares: Tensor, smoothing: float, *, priors: Tensor | None = None
) -> Tensor:
    """Cross-entropy of `logits` [N, C] that makes up for `shares` [C]; `truth` is indices [N] or probabilities [N, C].

    Logit adjustment (Menon et al. 2021, arXiv:2007.07314, sec. 4.1): the log of its share is added to each class's
    logit in the loss alone, so the network learns what speaks for a class beside its frequency. Unlike class weights
    it does not let single photos of a rare class dominate their batches; unlike balanced sampling it shows no photo
    many times. Labels are smoothed towards the shares: smoothed evenly, a rare class would be named for everything.
    With classes of one size it is cross-entropy with label smoothing.

    What it learns holds for photos that show each class as often as `priors` [C] say; all alike if not given.
    """
    adjusted = F.log_softmax(logits + (shares if priors is None else shares / priors).log(), dim=1)
    wanted = F.nll_loss(adjusted, truth) if truth.ndim == 1 else -(truth * adjusted).sum(dim=1).mean()
    return (1 - smoothing) * wanted - smoothing * (shares * adjusted).sum(dim=1).mean()
