from __future__ import annotations

import numpy as np
import pytest
import torch

from training.learning.imbalance import balanced_cross_entropy, class_shares


def test_with_classes_of_one_size_it_is_cross_entropy_with_label_smoothing() -> None:
    logits, truth = torch.randn(8, 3, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 3
    shares = class_shares(np.arange(9) % 3, 3)
    expected = torch.nn.functional.cross_entropy(logits, truth, label_smoothing=0.05)
    assert torch.allclose(balanced_cross_entropy(logits, truth, shares, 0.05), expected, atol=1e-6)
    soft = torch.nn.functional.one_hot(truth, 3).float()
    assert torch.allclose(balanced_cross_entropy(logits, soft, shares, 0.05), expected, atol=1e-6)


@pytest.mark.parametrize("rare", [0.5, 0.05, 0.001])
def test_each_class_wins_on_its_own_photos_however_rare_it_is(rare: float) -> None:
    """The best logits that a network without limits could give to either kind of photo."""
    shares = torch.tensor([1 - rare, rare])
    logits = torch.zeros(2, 2, requires_grad=True)  # of a common photo, and of a rare one
    optimiser = torch.optim.LBFGS([logits], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        each = [balanced_cross_entropy(logits[k : k + 1], torch.tensor([k]), shares, 0.05) for k in (0, 1)]
        weighted = each[0] * shares[0] + each[1] * shares[1]
        weighted.backward()
        return weighted

    optimiser.step(loss)
    assert logits[0, 0] - logits[0, 1] > 2
    assert logits[1, 1] - logits[1, 0] > 2


def test_a_class_without_training_photos_does_not_make_the_loss_infinite() -> None:
    shares = class_shares(np.zeros(4, np.int64), 2)
    assert torch.isfinite(balanced_cross_entropy(torch.zeros(1, 2), torch.tensor([0]), shares, 0.05))
