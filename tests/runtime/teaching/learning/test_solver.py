"""Logistic regression, held to scikit-learn's answers."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from runtime.teaching.head import Head
from runtime.teaching.learning import solver
from runtime.teaching.learning.solver import TOLERANCE, Rows, fit, logits_of
from tests.runtime.teaching.learning.drawn import SCALE, drawn_features

TIGHT = 1e-6
PROBLEMS = [(60, 512, 2, 0.05), (300, 64, 3, 0.05), (300, 64, 3, 1.0), (120, 512, 10, 0.02), (200, 40, 50, 0.1)]


def photos(rows: int, dimensions: int, classes: int) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    truth = np.arange(rows) % classes
    return drawn_features(truth, dimensions=dimensions)[:, 0], truth


def probabilities(features: NDArray[np.uint16], head: Head) -> NDArray[np.float64]:
    logits = logits_of(features, head, SCALE)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def theirs(
    features: NDArray[np.uint16], truth: NDArray[np.int64], strength: float, weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """scikit-learn's probabilities. Of two classes it fits one column of weights, which has twice the penalty."""
    doubled = 2 * strength if len(np.unique(truth)) == 2 else strength
    model = LogisticRegression(C=doubled, solver="newton-cg", tol=1e-9, max_iter=5000)
    model.fit(features * SCALE, truth, weights)
    return np.asarray(model.predict_proba(features * SCALE))


@pytest.mark.parametrize(("rows", "dimensions", "classes", "strength"), PROBLEMS)
def test_probabilities_are_those_of_scikit_learn(rows: int, dimensions: int, classes: int, strength: float) -> None:
    features, truth = photos(rows, dimensions, classes)
    weights = np.random.default_rng(2).uniform(0.2, 3, (1, rows))
    (head,) = fit([Rows(features, truth, weights)], classes, scale=SCALE, strength=strength, tolerance=TIGHT)
    assert abs(probabilities(features, head) - theirs(features, truth, strength, weights[0])).max() < 1e-6


def test_few_photos_with_many_features_are_solved_as_scikit_learn_does() -> None:
    features, truth = photos(6, 512, 2)
    (head,) = fit([Rows(features, truth, np.ones((1, 6)))], 2, scale=SCALE, strength=0.02, tolerance=TIGHT)
    assert abs(probabilities(features, head) - theirs(features, truth, 0.02, np.ones(6))).max() < 1e-6


def test_the_usual_tolerance_is_within_three_in_ten_thousand() -> None:
    features, truth = photos(400, 512, 3)
    weights = np.ones((1, 400))
    usual, tight = (
        fit([Rows(features, truth, weights)], 3, scale=SCALE, strength=0.02, tolerance=each)[0]
        for each in (TOLERANCE, TIGHT)
    )
    assert abs(probabilities(features, usual) - probabilities(features, tight)).max() < 3e-4


def test_problems_that_are_solved_together_are_each_solved_as_alone() -> None:
    features, truth = photos(200, 64, 3)
    weights = (np.arange(200) % 5 != np.arange(4)[:, np.newaxis]).astype(np.float64)
    together = fit([Rows(features, truth, weights)], 3, scale=SCALE, strength=0.1, tolerance=TIGHT)
    for problem, head in enumerate(together):
        seen = weights[problem] > 0
        rows = Rows(features[seen], truth[seen], np.ones((1, int(seen.sum()))))
        (alone,) = fit([rows], 3, scale=SCALE, strength=0.1, tolerance=TIGHT)
        assert abs(probabilities(features, head) - probabilities(features, alone)).max() < 1e-6


def test_a_penalty_is_as_scikit_learns_of_features_that_it_shrinks() -> None:
    features, truth = photos(150, 32, 3)
    generator = np.random.default_rng(1)
    roots = generator.normal(0, 0.3, (32, 8))
    penalty = roots @ roots.T
    (head,) = fit([Rows(features, truth, np.ones((1, 150)))], 3, scale=SCALE, strength=0.1, penalty=penalty,
                  tolerance=TIGHT)  # fmt: skip
    shrunk = features * SCALE @ np.linalg.inv(np.linalg.cholesky(np.eye(32) + penalty)).T
    model = LogisticRegression(C=0.1, solver="newton-cg", tol=1e-9, max_iter=5000).fit(shrunk, truth)
    assert abs(probabilities(features, head) - model.predict_proba(shrunk)).max() < 1e-4  # the penalty has 16 bits


def test_offsets_are_added_to_the_logits_of_the_first_class() -> None:
    features, truth = photos(200, 32, 2)
    offsets = np.random.default_rng(0).normal(0, 2, (1, 200))
    rows = Rows(features, truth, np.ones((1, 200)), offsets)
    (head,) = fit([rows], 2, scale=SCALE, strength=0.1, tolerance=TIGHT)
    logits = logits_of(features, head, SCALE) + np.stack([offsets[0], np.zeros(200)], axis=1)
    residuals = softmax(logits, axis=1) - np.eye(2)[truth]
    gradient = head.weights + 0.1 * (features * SCALE).T @ residuals
    assert abs(gradient).max() < 1e-5
    assert abs(residuals.sum(axis=0)).max() < 1e-5


def test_rows_may_come_in_blocks_and_in_more_than_one_chunk() -> None:
    features, truth = photos(1500, 32, 3)
    whole = [Rows(features, truth, np.ones((1, 1500)))]
    parts = [Rows(features[part], truth[part], np.ones((1, 750))) for part in (slice(0, 750), slice(750, None))]
    one, other = (fit(blocks, 3, scale=SCALE, strength=0.1, tolerance=TIGHT)[0] for blocks in (whole, parts))
    assert abs(probabilities(features, one) - probabilities(features, other)).max() < 1e-6


def test_each_step_tells_how_much_of_the_way_is_done() -> None:
    features, truth = photos(300, 64, 3)
    steps: list[float] = []
    fit([Rows(features, truth, np.ones((1, 300)))], 3, scale=SCALE, strength=0.1, on_step=steps.append)
    assert steps[0] == 0
    assert steps[-1] == 1
    assert 5 < len(steps) < 200


def test_what_a_step_raises_ends_the_search() -> None:
    def stop(done: float) -> None:
        if done > 0.3:
            raise KeyboardInterrupt

    features, truth = photos(300, 64, 3)
    with pytest.raises(KeyboardInterrupt):
        fit([Rows(features, truth, np.ones((1, 300)))], 3, scale=SCALE, strength=0.1, on_step=stop)


@pytest.mark.parametrize("noise", [0.05, 0.5, 3.0])
def test_many_photos_that_are_told_apart_easily_or_not_take_few_steps(noise: float) -> None:
    truth = np.arange(4000) % 2
    features = drawn_features(truth, dimensions=128, noise=noise)[:, 0]
    steps: list[float] = []
    fit([Rows(features, truth, np.ones((1, 4000)))], 2, scale=SCALE, strength=0.05, on_step=steps.append)
    assert len(steps) < 80


@pytest.mark.parametrize("value", [0, 1, 65535])
def test_features_that_are_all_the_same_leave_the_shares_of_the_classes(value: int) -> None:
    features, truth = np.full((40, 16), value, np.uint16), np.arange(40) % 4 // 3
    (head,) = fit([Rows(features, truth, np.ones((1, 40)))], 2, scale=SCALE, strength=0.1)
    assert probabilities(features, head)[0] == pytest.approx([0.75, 0.25], abs=1e-3)


def test_the_largest_features_there_are_do_not_overflow() -> None:
    generator = np.random.default_rng(0)
    truth = np.arange(200) % 3
    features = np.where(generator.random((200, 512)) < 0.3, 65535, truth[:, np.newaxis] * 3000).astype(np.uint16)
    weights = np.ones((1, 200))
    (head,) = fit([Rows(features, truth, weights)], 3, scale=SCALE, strength=1e-4, tolerance=1e-4)
    assert abs(probabilities(features, head) - theirs(features, truth, 1e-4, weights[0])).max() < 1e-4


def test_problems_that_are_solved_a_few_at_a_time_have_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    features, truth = photos(60, 64, 3)
    weights = (np.arange(60) % 5 != np.arange(5)[:, np.newaxis]).astype(np.float64)
    shares: list[float] = []
    heads = []
    for outputs in (15, 6):
        monkeypatch.setattr(solver, "_MOST_OUTPUTS", outputs)
        shares.clear()
        heads.append(fit([Rows(features, truth, weights)], 3, scale=SCALE, strength=0.05, on_step=shares.append))
    assert shares == sorted(shares)
    for one, other in zip(*heads, strict=True):
        assert np.array_equal(one.weights, other.weights)
        assert np.array_equal(one.bias, other.bias)


def test_with_two_hundred_classes_memory_stays_small() -> None:
    features, truth = photos(400, 512, 200)
    tracemalloc.start()
    try:
        with pytest.raises(InterruptedError):
            fit([Rows(features, truth, np.ones((8, 400)))], 200, scale=SCALE, strength=0.05, on_step=_StopAfter(7))
        assert tracemalloc.get_traced_memory()[1] < 80 << 20
    finally:
        tracemalloc.stop()


class _StopAfter:
    """Ends a search after some steps, in which its memory has filled."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def __call__(self, done: float) -> None:
        self._left -= 1
        if not self._left:
            raise InterruptedError
