"""Accuracy on altered copies: pooled over photos, kind by kind."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.republished import evaluate_copies
from training.metrics.scores import Predictions


def said(right: list[int]) -> Predictions:
    """Predictions of two classes, of which those at 1 in `right` are right."""
    truth = np.zeros(len(right), np.int64)
    probabilities = np.array([[0.9, 0.1] if hit else [0.1, 0.9] for hit in right], np.float32)
    return Predictions(["a", "b"], [str(row) for row in range(len(right))], truth, probabilities)


def test_copies_are_scored_kind_by_kind_and_together() -> None:
    figures = evaluate_copies({"grey": said([1, 1, 0, 0]), "enlarged": said([1, 1, 1, 1])}, seed=7)
    assert [(kind.kind, kind.accuracy) for kind in figures.kinds] == [("grey", 0.5), ("enlarged", 1.0)]
    assert (figures.accuracy, figures.worst.kind, figures.seed) == (0.75, "grey", 7)
    assert figures.low < 0.75 < figures.high


def test_copies_of_one_photo_are_no_independent_trials() -> None:
    right = [1] * 90 + [0] * 10
    one, six = (evaluate_copies({str(kind): said(right) for kind in range(count)}, seed=0) for count in (1, 6))
    assert (six.low, six.high) == pytest.approx((one.low, one.high))
