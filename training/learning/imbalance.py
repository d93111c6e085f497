"""Class imbalance: a loss by which a rare class is learned as well as a common one."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor


def class_shares(truth: NDArray[np.int64], classes: int) -> Tensor:
    """The share of each class among the photos with class indices `truth` [N]: [C], none of them 0."""
    counts = np.maximum(np.bincount(truth, minlength=classes), 1)
    return torch.from_numpy((counts / counts.sum()).astype(np.float32))


def balanced_cross_entropy(logits: Tensor, truth: Tensor, shares: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy of `logits` [N, C] that makes up for `shares` [C]; `truth` is indices [N] or probabilities [N, C].

    Logit adjustment (Menon et al. 2021, arXiv:2007.07314, sec. 4.1): the log of its share is added to each class's
    logit in the loss alone, so the network learns what speaks for a class beside its frequency. Unlike class weights
    it does not let single photos of a rare class dominate their batches; unlike balanced sampling it shows no photo
    many times. Labels are smoothed towards the shares: smoothed evenly, a rare class would be named for everything.
    With classes of one size it is cross-entropy with label smoothing.
    """
    adjusted = F.log_softmax(logits + shares.log(), dim=1)
    wanted = F.nll_loss(adjusted, truth) if truth.ndim == 1 else -(truth * adjusted).sum(dim=1).mean()
    return (1 - smoothing) * wanted - smoothing * (shares * adjusted).sum(dim=1).mean()
