from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import log_softmax

from runtime.inference.thresholds import abstain_threshold
from training.metrics.calibration import (
    AlteredOutputs,
    calibrate,
    cross_fitted,
    fit_temperature,
    scaled,
)
from training.metrics.scores import Predictions, equal_mass_error

Answers = tuple[NDArray[np.float32], NDArray[np.int64]]


def answers(classes: int, photos: int, temperature: float, seed: int, sharpness: float = 4.0) -> Answers:
    """Logits [photos, classes] whose softmax is the truth about each photo once they are divided by `temperature`."""
    generator = np.random.default_rng([classes, photos, seed])
    honest = log_softmax(generator.normal(0, sharpness, (photos, classes)), axis=1)
    truth = (generator.random((photos, 1)) < np.exp(honest).cumsum(axis=1)).argmax(axis=1)
    return (honest * temperature).astype(np.float32), truth


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
@pytest.mark.parametrize("classes", [2, 3, 10, 50])
def test_a_known_temperature_is_found_for_any_number_of_classes(classes: int, temperature: float) -> None:
    assert fit_temperature(*answers(classes, 4000, temperature, 0)) == pytest.approx(temperature, rel=0.1)


@pytest.mark.parametrize("photos", [20, 100, 500])
@pytest.mark.parametrize("classes", [2, 3, 10, 50])
def test_confidence_is_as_high_as_accuracy_for_any_number_of_classes_and_photos(classes: int, photos: int) -> None:
    """Fitted on few validation photos, measured on others; the mean of many seeds."""
    gaps = []
    for seed in range(20):
        validation = answers(classes, photos, 2.0, seed)
        unseen, truth = answers(classes, 400, 2.0, 1000 + seed)
        probabilities = scaled(unseen, fit_temperature(*validation))
        gaps.append(float(probabilities.max(axis=1).mean() - (probabilities.argmax(axis=1) == truth).mean()))
    assert abs(float(np.mean(gaps))) < 0.05


@pytest.mark.parametrize("scale", [1, 15])
@pytest.mark.parametrize("classes", [2, 3, 10, 50])
def test_photos_without_a_mistake_ask_for_no_more_confidence_than_they_justify(classes: int, scale: float) -> None:
    truth = np.arange(100) % classes
    logits = np.eye(classes, dtype=np.float32)[truth] * scale
    confidence = scaled(logits, fit_temperature(logits, truth)).max()
    assert confidence == pytest.approx((100 + 0.1 / classes) / 100.1, abs=5e-4)  # a tenth of a photo of any class


def test_one_photo_of_each_class_is_enough_to_fit_and_equal_logits_do_no_harm() -> None:
    truth = np.arange(2)
    assert 0.5 < scaled(np.eye(2, dtype=np.float32), fit_temperature(np.eye(2, dtype=np.float32), truth)).max() < 1
    assert np.isfinite(fit_temperature(np.zeros((2, 2), np.float32), truth))


def test_temperatures_of_folds_are_fitted_on_the_other_folds() -> None:
    logits, truth = zip(*(answers(3, 1000, temperature, 5) for temperature in (1.0, 1.0, 4.0)), strict=True)
    first, _, last = cross_fitted(logits, truth)
    assert last == pytest.approx(1.0, rel=0.15)
    assert first > 1.5


def test_a_calibration_is_temperature_and_threshold_of_the_same_photos() -> None:
    logits, truth = answers(3, 500, 2.0, 1)
    found = calibrate(logits, truth)
    assert found.temperature == fit_temperature(logits, truth)
    probabilities = scaled(logits, found.temperature)
    assert found.threshold == abstain_threshold(probabilities.max(axis=1), probabilities.argmax(axis=1) == truth)


def test_copies_that_are_answered_worse_raise_the_threshold() -> None:
    logits, truth = answers(3, 500, 2.0, 1)
    worse, theirs = answers(3, 500, 2.0, 2)
    plain = calibrate(logits, truth)
    with_copies = calibrate(logits, truth, copies=AlteredOutputs([worse, worse[::-1].copy()], theirs))
    assert with_copies.temperature == plain.temperature
    assert with_copies.threshold > plain.threshold


def test_bins_of_equal_mass_show_an_error_that_a_mean_hides() -> None:
    """Half the photos 0.6 sure and always right, half 0.9 sure and right in half of the cases: 0.75 on average."""
    chance = np.random.default_rng(0)
    sure = np.repeat([0.6, 0.9], 300)
    right = np.concatenate([np.ones(300, bool), chance.permutation(300) % 2 == 0])
    probabilities = np.stack([sure, 1 - sure], axis=1).astype(np.float32)
    said = Predictions(["a", "b"], [""] * 600, np.where(right, 0, 1), probabilities)
    assert said.confidence.mean() == pytest.approx(right.mean(), abs=1e-6)
    assert equal_mass_error(said, bins=2) == pytest.approx(0.4, abs=1e-6)
