from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

from runtime.inference.thresholds import UNKNOWN_PRICE
from runtime.teaching.learning.calibration import (
    CAUTIOUS_ABSTENTION,
    CAUTIOUS_UNKNOWN,
    PRIOR_PHOTOS,
    USUAL_TEMPERATURE,
    fit_temperature,
    probabilities_of,
    thresholds_for,
)
from training.metrics import calibration as trained


def answers(photos: int, temperature: float, classes: int = 3) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Logits whose softmax is the truth about each photo once they are divided by `temperature`."""
    generator = np.random.default_rng([photos, classes])
    honest = log_softmax(generator.normal(0, 4, (photos, classes)), axis=1)
    truth = (generator.random((photos, 1)) < np.exp(honest).cumsum(axis=1)).argmax(axis=1)
    return honest * temperature, truth


def test_a_photo_of_the_prior_counts_as_in_training() -> None:
    assert PRIOR_PHOTOS == trained.PRIOR_PHOTOS


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_many_photos_ask_for_the_temperature_of_training(temperature: float) -> None:
    logits, truth = answers(20000, temperature)
    found = fit_temperature(logits, truth, np.ones(20000))
    assert found == pytest.approx(trained.fit_temperature(logits.astype(np.float32), truth), rel=0.01)
    assert found == pytest.approx(temperature, rel=0.05)


@pytest.mark.parametrize("right", [5, 6])
def test_a_few_photos_leave_about_the_usual_temperature(right: int) -> None:
    said, truth = np.arange(6) % 2, np.where(np.arange(6) < right, np.arange(6) % 2, 1 - np.arange(6) % 2)
    logits = np.where(np.arange(2) == said[:, np.newaxis], 1.0, -1.0)
    assert fit_temperature(logits, truth, np.ones(6)) == pytest.approx(USUAL_TEMPERATURE, rel=0.15)


def test_a_photo_counts_as_much_as_its_weight() -> None:
    logits, truth = answers(300, 1.5)
    twice = fit_temperature(np.concatenate([logits, logits[:100]]), np.append(truth, truth[:100]), np.ones(400))
    assert twice == fit_temperature(logits, truth, np.where(np.arange(300) < 100, 2.0, 1.0))


def test_probabilities_are_the_softmax_at_the_temperature() -> None:
    logits, _ = answers(50, 1.0)
    assert probabilities_of(logits, 1.7) == pytest.approx(softmax(logits / 1.7, axis=1), abs=1e-14)


def test_one_own_photo_in_25_at_most_is_called_unknown() -> None:
    generator = np.random.default_rng(0)
    unknown = generator.beta(1, 10, 400)
    outputs = np.stack([(1 - unknown) * 0.95, (1 - unknown) * 0.05, unknown], axis=1)
    found = thresholds_for(outputs, np.zeros(400, np.int64), 2, 1.0)
    assert found.unknown is not None
    assert 0.03 <= (unknown >= found.unknown).mean() <= 0.04 < UNKNOWN_PRICE


def test_a_few_photos_leave_cautious_thresholds() -> None:
    outputs = np.tile([0.6, 0.35, 0.05], (8, 1))
    found = thresholds_for(outputs, np.zeros(8, np.int64), 2, 1.0)
    assert (found.abstain, found.unknown) == (CAUTIOUS_ABSTENTION, CAUTIOUS_UNKNOWN)


def test_without_an_unknown_class_nothing_is_unknown() -> None:
    found = thresholds_for(np.tile([0.97, 0.03], (200, 1)), np.zeros(200, np.int64), 2, 1.0)
    assert found.unknown is None
    assert found.abstain == pytest.approx(0.97, abs=1e-3)


def test_answers_that_are_never_right_are_all_uncertain() -> None:
    found = thresholds_for(np.tile([0.97, 0.03], (200, 1)), np.ones(200, np.int64), 2, 1.0)
    assert found.abstain == 1.0
