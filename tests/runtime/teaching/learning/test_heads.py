from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from runtime.teaching.examples import Examples
from runtime.teaching.head import Head
from runtime.teaching.learning.heads import INVARIANCE, STRENGTH, fit_heads, invariance
from runtime.teaching.learning.solver import logits_of
from tests.runtime.teaching.learning.drawn import SCALE, drawn_features

TIGHT = [1e-6]


def examples(count: int = 90) -> Examples:
    truth = np.arange(count) % 3
    features = drawn_features(np.append(truth, 8), noise=1.5, views=2)[:-1]
    photos = [str(row) for row in range(count)]
    return Examples(["a", "b", "c"], photos, truth, features, np.full(count, 0.5, np.float32))


def other_things(count: int = 60) -> NDArray[np.uint16]:
    return drawn_features(np.append(np.arange(count) % 4 + 4, 8), noise=1.5, views=2)[:-1]


def fitted(known: Examples, others: NDArray[np.uint16] | None) -> Head:
    seen, others_seen = np.ones((1, len(known.truth)), bool), np.ones((1, 0 if others is None else len(others)), bool)
    steps: list[float] = []
    (head,) = fit_heads(known, others, SCALE, seen, others_seen, tolerance=TIGHT, on_step=steps.append)
    assert steps == sorted(steps)
    assert steps[-1] == 1
    return head


def test_with_one_view_it_is_scikit_learns_logistic_regression() -> None:
    known = replace(examples(), features=examples().features[:, :1])
    values = known.features[:, 0] * SCALE
    model = LogisticRegression(C=3 * STRENGTH, solver="newton-cg", tol=1e-9, max_iter=1000).fit(values, known.truth)
    ours = logits_of(known.features[:, 0], fitted(known, None), SCALE)
    theirs = model.decision_function(values)
    centred = [each - each.mean(axis=1, keepdims=True) for each in (ours, theirs)]
    assert abs(centred[0] - centred[1]).max() < 1e-4


def test_of_other_things_with_one_view_own_photos_tell_what_changes() -> None:
    known, others = examples(), other_things()
    shaky = replace(known, features=known.features.copy())
    shaky.features[:, 1, 7] = 0
    weights = [abs(fitted(each, others[:, :1]).weights[7, :3]).sum() for each in (known, shaky)]
    assert weights[1] < 0.7 * weights[0]


def test_the_unknown_class_leaves_what_is_said_among_the_labels() -> None:
    known, others = examples(), other_things()
    twice, far = np.concatenate([others, others]), others + np.uint16(100)  # alike in what changes between views
    heads = [fitted(known, each) for each in (others, twice, far)]
    among = [logits_of(known.features[:, 0], head, SCALE)[:, :3] for head in heads]
    assert among[1] == pytest.approx(among[0], abs=1e-3)
    assert among[2] == pytest.approx(among[0], abs=1e-3)
    assert abs(heads[2].weights[:, 3] - heads[0].weights[:, 3]).max() > 0.01


def test_other_things_are_told_from_photos_of_the_labels() -> None:
    known, others = examples(), other_things()
    head = fitted(known, others)
    own, other = (_unknown_odds(logits_of(each[:, 0], head, SCALE)) for each in (known.features, others))
    assert roc_auc_score(np.repeat([0, 1], [len(own), len(other)]), np.concatenate([own, other])) > 0.9


def _unknown_odds(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(logits[:, 3] - logsumexp(logits[:, :3], axis=1))


def test_directions_in_which_views_differ_are_penalised() -> None:
    others = other_things()
    others[:, 1] = others[:, 0]
    others[:, 1, 5] += 200
    penalty = invariance(others)
    assert penalty is not None
    assert np.trace(penalty) == pytest.approx(INVARIANCE * len(penalty))
    assert penalty[5, 5] == pytest.approx(np.trace(penalty))


def test_a_head_does_not_go_by_what_changes_between_views() -> None:
    known, others = examples(), other_things()
    before = fitted(known, others)
    shaky = others.copy()
    shaky[:, 1, 7] = 0
    after = fitted(known, shaky)
    assert abs(after.weights[7, :3]).sum() < 0.7 * abs(before.weights[7, :3]).sum()


def test_one_view_or_equal_views_leave_no_penalty() -> None:
    others = other_things()
    assert invariance(others[:, :1]) is None
    assert invariance(np.repeat(others[:, :1], 3, axis=1)) is None
