from __future__ import annotations

import numpy as np
import pytest

from runtime.teaching.head import Head
from runtime.teaching.learning.balance import UNKNOWN_PRIOR, UNKNOWN_SHARE, balanced, other_weights, with_unknown
from runtime.teaching.learning.solver import Rows, fit, logits_of
from tests.runtime.teaching.learning.drawn import SCALE, drawn_features
from training import recipe


def test_other_things_have_the_share_and_the_prior_that_training_gives_them() -> None:
    assert (UNKNOWN_SHARE, UNKNOWN_PRIOR) == (recipe.UNKNOWN_SHARE, recipe.UNKNOWN_PRIOR)


def test_other_things_are_a_third_of_what_each_problem_learns_from() -> None:
    seen = np.array([[True] * 9, [True] * 3 + [False] * 6])
    weights = other_weights(seen, np.array([60, 10]))
    assert weights.sum(axis=1).tolist() == pytest.approx([30, 5])
    assert (weights[~seen] == 0).all()
    assert np.ptp(weights[1][:3]) == 0


def test_a_head_that_knows_nothing_of_a_photo_answers_the_priors() -> None:
    counts = np.array([150, 10])
    guessing = Head(np.zeros((4, 2)), np.log(counts / counts.sum()))  # what a fit to the counts alone would be
    head = balanced(guessing, counts)
    powers = np.exp(head.bias)
    assert (powers / powers.sum()).tolist() == pytest.approx([0.5, 0.5])
    evidence = np.log(powers.sum())
    odds = UNKNOWN_SHARE / (1 - UNKNOWN_SHARE)
    other = Head(np.zeros((4, 2)), np.array([0.0, np.log(odds) + evidence]))
    powers = np.exp(with_unknown(head, other).bias)
    assert (powers / powers.sum()).tolist() == pytest.approx([0.4, 0.4, UNKNOWN_PRIOR])


def test_a_rare_class_is_recognised_as_often_as_a_common_one() -> None:
    truth = np.repeat([0, 1], [300, 12])
    features = drawn_features(truth, noise=2.0, seed=3)[:, 0]
    unseen = np.repeat([0, 1], 300)
    photos = drawn_features(unseen, noise=2.0, seed=3)[:, 0]
    (head,) = fit([Rows(features, truth, np.ones((1, 312)))], 2, scale=SCALE, strength=0.02)
    recalls = []
    for each in (head, balanced(head, np.array([300, 12]))):
        right = logits_of(photos, each, SCALE).argmax(axis=1) == unseen
        recalls.append([right[unseen == 0].mean(), right[unseen == 1].mean()])
    assert recalls[0][1] < recalls[0][0] - 0.2
    assert abs(recalls[1][1] - recalls[1][0]) < 0.15
    assert sum(recalls[1]) > sum(recalls[0]) + 0.1
