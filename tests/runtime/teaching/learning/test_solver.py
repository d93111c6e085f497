"""Logistic regression, held to scikit-learn's answers."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from runtime.teaching.head import Head
from runtime.teaching.learning.solver import Rows, fit, logits_of

SCALE = 1 / 256
TIGHT = 1e-6


def photos(
    seed: int, rows: int, dimensions: int, classes: int, *, highest: int = 4000
) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    """Features as a ReLU leaves them, many of them zero, that tell the classes apart for the most part."""
    generator = np.random.default_rng([seed, rows, dimensions, classes])
    truth = np.arange(rows) % classes
    centres = generator.normal(0, 0.5, (classes, dimensions))
    values = centres[truth] + generator.normal(0, 1, (rows, dimensions)) @ np.diag(
        generator.uniform(0.1, 2, dimensions)
    )
    return (np.maximum(values, 0) * highest / max(values.max(), 1e-9)).astype(np.uint16), truth


def probabilities(features: NDArray[np.uint16], head: Head) -> NDArray[np.float64]:
    logits = logits_of(features, head, SCALE)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def theirs(
    features: NDArray[np.uint16], truth: NDArray[np.int64], strength: float, weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    # Newton's method, as exact as theirs get; of two classes it takes one column of weights, with half the penalty.
    columns = np.unique(truth).size
    model = LogisticRegression(C=strength, solver="newton-cg", tol=1e-9, max_iter=5000)
    if columns > 2:
        return np.asarray(model.fit(features * SCALE, truth, weights).predict_proba(features * SCALE))
    model.C = 2 * strength
    return np.asarray(model.fit(features * SCALE, truth, weights).predict_proba(features * SCALE))


@pytest.mark.parametrize(
    ("rows", "dimensions", "classes", "strength"),
    [
        (60, 512, 2, 0.05),
        (300, 64, 3, 0.05),
        (300, 64, 3, 1.0),
        (120, 512, 10, 0.02),
        (200, 40, 50, 0.1),
        (12, 512, 3, 0.01),
    ],
)
def test_probabilities_are_those_of_scikit_learn(rows: int, dimensions: int, classes: int, strength: float) -> None:
    features, truth = photos(1, rows, dimensions, classes)
    weights = np.random.default_rng(2).uniform(0.2, 3, (1, rows))
    (head,) = fit([Rows(features, truth, weights)], classes, scale=SCALE, strength=strength, tolerance=TIGHT)
    assert abs(probabilities(features, head) - theirs(features, truth, strength, weights[0])).max() < 1e-6
