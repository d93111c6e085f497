"""The kernel's softmax: float64's within rounding, whatever the logits are, and the same bytes on every processor."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.native.library import Library
from tests.runtime.native.models import library_of

CLOSE = 1e-6


def probabilities(
    library: Library, scores: NDArray[np.float32], bias: NDArray[np.float32], temperature: float
) -> NDArray[np.float32]:
    """[photos, classes] of scores [photos, classes, places]."""
    photos, classes, places = scores.shape
    out = np.full((photos, classes), np.nan, np.float32)
    arrays = scores.ctypes.data, bias.ctypes.data, out.ctypes.data
    library.probabilities(arrays[0], photos, classes, places, arrays[1], temperature, arrays[2])
    return out


def softmax(scores: NDArray[np.float32], bias: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    """The same in double precision, of logits that are rounded to floats."""
    logits = (scores.mean(2, dtype=np.float64) + bias.astype(np.float64)) / np.float64(np.float32(temperature))
    logits = logits.astype(np.float32).astype(np.float64)
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def assert_close(scores: NDArray[np.float32], bias: NDArray[np.float32], temperature: float = 1.0) -> None:
    found = probabilities(library_of("reference"), scores, bias, temperature)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, softmax(scores, bias, temperature), rtol=CLOSE, atol=CLOSE**6)
    np.testing.assert_allclose(found.sum(1, dtype=np.float64), 1, rtol=CLOSE)


@pytest.mark.parametrize("seed", range(30))
def test_it_is_the_softmax_of_any_scores(seed: int) -> None:
    generator = np.random.default_rng(seed)
    photos, classes, places = (int(each) for each in generator.integers(1, [9, 200, 100]))
    spread = 10 ** generator.uniform(-3, 2.5)
    scores = generator.normal(0, spread, (photos, classes, places)).astype(np.float32)
    bias = generator.normal(0, spread, classes).astype(np.float32)
    assert_close(scores, bias, float(generator.uniform(0.05, 20)))


@pytest.mark.parametrize(
    "logits",
    [
        [0.0],
        [-1000.0],
        [0.0, 0.0, 0.0],
        [1000.0, 0.0],
        [0.0, 1000.0, 1000.0],
        [-1000.0, -1000.0, 1000.0],
        [1e30, -1e30],
        [3e38, 3e38, -3e38],
        [0.0, -87.4, -100.0, -103.0, -104.0, -700.0, -745.0],
        [0.0, -1e-7, -1e-30],
        [np.log(2) / 2, -np.log(2) / 2, np.log(2), 0.0],
    ],
)
def test_extreme_logits_make_probabilities(logits: list[float]) -> None:
    scores = np.array(logits, np.float32).reshape(1, -1, 1)
    assert_close(scores, np.zeros(len(logits), np.float32))


def test_equal_logits_make_equal_probabilities() -> None:
    for classes in (1, 2, 3, 7, 1000):
        found = probabilities(
            library_of("reference"), np.ones((2, classes, 4), np.float32), np.zeros(classes, np.float32), 1
        )
        assert np.unique(found).tolist() == [np.float32(1 / classes)]


def test_many_places_are_averaged_in_double_precision() -> None:
    scores = np.full((1, 2, 100_000), 0.1, np.float32)
    scores[0, 1] = np.float32(0.3)
    assert_close(scores, np.array([0.5, -0.5], np.float32))


def test_a_photo_is_answered_alike_alone_and_among_others() -> None:
    generator = np.random.default_rng(0)
    scores, bias = generator.normal(0, 5, (8, 5, 16)).astype(np.float32), np.ones(5, np.float32)
    together = probabilities(library_of("reference"), scores, bias, 1.3)
    for photo, each in enumerate(scores):
        alone = probabilities(library_of("reference"), each[np.newaxis], bias, 1.3)
        np.testing.assert_array_equal(alone[0], together[photo])
