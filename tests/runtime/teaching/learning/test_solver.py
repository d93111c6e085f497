"""Logistic regression, held to scikit-learn's answers."""

from __future__ import annotations

import hashlib
import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from runtime.teaching.head import Head
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


def test_rows_may_come_in_blocks_and_in_more_than_one_chunk() -> None:
    features, truth = photos(1500, 32, 3)
    whole = [Rows(features, truth, np.ones((1, 1500)))]
    parts = [Rows(features[part], truth[part], np.ones((1, 750))) for part in (slice(0, 750), slice(750, None))]
    one, other = (fit(blocks, 3, scale=SCALE, strength=0.1, tolerance=TIGHT)[0] for blocks in (whole, parts))
    assert abs(probabilities(features, one) - probabilities(features, other)).max() < 1e-6


def test_a_search_from_the_solution_ends_at_once() -> None:
    features, truth = photos(300, 64, 3)
    rows, steps = [Rows(features, truth, np.ones((1, 300)))], list[float]()
    (head,) = fit(rows, 3, scale=SCALE, strength=0.1)
    fit(rows, 3, scale=SCALE, strength=0.1, start=head, on_step=steps.append)
    assert steps == [1.0]


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


PROGRAM = """
import hashlib
import numpy as np
from runtime.teaching.learning.solver import Rows, fit
from tests.runtime.teaching.learning.drawn import SCALE, drawn_features
truth = np.arange(700) % 3
features = drawn_features(truth, dimensions=512, noise=1.0)[:, 0]
weights = (np.arange(700) % 3 != np.arange(2)[:, None]) * 0.7
digest = hashlib.sha256()
for head in fit([Rows(features, truth, weights)], 3, scale=SCALE, strength=0.05):
    digest.update(head.weights.tobytes() + head.bias.tobytes())
print(digest.hexdigest())
"""


@pytest.mark.parametrize(
    "surroundings",
    [
        {"OPENBLAS_NUM_THREADS": "2"},
        {"OPENBLAS_CORETYPE": "Prescott"},
        {"OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_NUM_THREADS": "3"},
        {"NPY_DISABLE_CPU_FEATURES": "features", "OPENBLAS_CORETYPE": "Nehalem"},
    ],
)
def test_the_head_is_the_same_to_the_last_bit_whatever_the_cpu_and_the_threads(surroundings: dict[str, str]) -> None:
    if "NPY_DISABLE_CPU_FEATURES" in surroundings:
        surroundings = surroundings | {"NPY_DISABLE_CPU_FEATURES": _disabled()}
    assert _digest(surroundings) == _digest({"OPENBLAS_NUM_THREADS": "1"})


def _disabled() -> str:
    """All the features of this CPU that NumPy can do without."""
    built = importlib.import_module("numpy._core._multiarray_umath")
    return " ".join(each for each in built.__cpu_dispatch__ if built.__cpu_features__.get(each))


def _digest(surroundings: dict[str, str]) -> str:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        env=os.environ | {"PYTHONPATH": str(Path.cwd())} | surroundings,
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(ran.stdout.strip()) == len(hashlib.sha256().hexdigest())
    return ran.stdout
