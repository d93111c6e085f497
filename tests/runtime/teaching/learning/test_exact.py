from __future__ import annotations

import math

import numpy as np
import pytest

from runtime.teaching.learning.exact import exact_bits, exp, log, on_grid, softmax


def test_the_exponential_is_right_to_the_last_bits() -> None:
    values = -np.concatenate([np.linspace(0, 40, 5001), np.geomspace(1e-12, 690, 1000)])
    wanted = np.array([math.exp(value) for value in values])
    assert (abs(exp(values) - wanted) <= 2 * np.spacing(wanted)).all()
    assert exp(np.array([0.0, -1e9])).tolist() == [1.0, pytest.approx(0, abs=1e-300)]


def test_the_logarithm_is_right_to_the_last_bits() -> None:
    values = np.concatenate([np.geomspace(1e-300, 1e300, 5001), np.linspace(0.5, 2, 2001), np.arange(1, 500)])
    wanted = np.array([math.log(value) for value in values])
    assert (abs(log(values) - wanted) <= 2 * np.spacing(np.maximum(abs(wanted), 1))).all()


def test_probabilities_add_up_and_survive_large_logits() -> None:
    logits = np.array([[1e4, -1e4, 0.0], [0.0, 0.0, 0.0]]).T.copy()
    found = softmax(logits, axis=0)
    assert found.sum(axis=0) == pytest.approx([1, 1], abs=1e-15)
    assert found[:, 0].tolist() == pytest.approx([1, 0, 0])


def test_a_product_on_the_grid_is_the_same_in_any_order() -> None:
    generator = np.random.default_rng(0)
    features = generator.integers(0, 65536, (50, 512)).astype(np.float64)
    weights, units = on_grid(generator.normal(0, 3, (4, 512)), exact_bits(65535, 512))
    product = weights @ features.T
    for _ in range(5):
        order = generator.permutation(512)
        assert (weights[:, order] @ features[:, order].T == product).all()
    assert abs(product).max() < 2**53
    whole = [
        [sum(int(a) * int(b) for a, b in zip(row, photo, strict=True)) for photo in features[:3]] for row in weights
    ]
    assert product[:, :3].tolist() == whole
    assert (units > 0).all()


def test_rows_of_zeros_stay_zeros_on_the_grid() -> None:
    whole, units = on_grid(np.zeros((2, 3)), 30)
    assert (whole * units == 0).all()
