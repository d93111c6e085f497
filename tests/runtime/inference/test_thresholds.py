"""Thresholds of abstention and of the unknown class."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.inference.thresholds import abstain_threshold, unknown_threshold


def test_the_threshold_keeps_the_precision_and_no_more() -> None:
    sure = np.linspace(1, 0.5, 2000, dtype=np.float32)
    right = np.ones(2000, bool)
    right[1000::10] = False  # below 0.75 one in ten is wrong
    assert abstain_threshold(sure, right, 1.0) == pytest.approx(0.75, abs=0.01)
    assert abstain_threshold(sure, right, 0.97) == pytest.approx(0.75 - 0.25 * 0.42, abs=0.03)  # 0.1 x 430 of 1430
    assert abstain_threshold(sure, right, 0.9) == pytest.approx(0.5, abs=0.01)


def test_answers_that_are_never_right_enough_are_all_uncertain() -> None:
    assert abstain_threshold(np.full(6, 0.9, np.float32), np.zeros(6, bool)) == 1.0
    assert abstain_threshold(np.zeros(0, np.float32), np.zeros(0, bool)) == 1.0


def test_certain_answers_to_unseen_photos_are_right_as_often_as_promised() -> None:
    """A threshold that just fits the photos it is set on promises too much about others: the mean of many draws."""
    generator = np.random.default_rng(7)

    def draw(photos: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        honest = 1 / (1 + np.exp(-np.abs(generator.normal(5.5, 3.0, photos))))
        return honest.astype(np.float32), generator.random(photos) < honest

    kept = []
    for _ in range(60):
        threshold = abstain_threshold(*draw(320))
        confidence, right = draw(5000)
        kept.append(float(right[confidence >= threshold].mean()))
    assert np.mean(kept) >= 0.99


def test_copies_of_a_photo_are_resampled_together() -> None:
    """Six copies of one wrong photo are one piece of evidence, and the threshold is steady only with many photos."""
    sure = np.tile(np.linspace(1, 0.5, 400, dtype=np.float32), 6)
    right = np.tile(np.arange(400) % 25 != 12, 6)
    together = abstain_threshold(sure, right, 0.96, photos=np.tile(np.arange(400), 6))
    assert together == pytest.approx(abstain_threshold(sure[:400], right[:400], 0.96), abs=0.02)
    assert together > abstain_threshold(sure, right, 0.96) + 0.02


@pytest.mark.parametrize("photos", [20, 100, 2800])
def test_at_most_one_own_photo_in_25_is_called_unknown(photos: int) -> None:
    own = np.random.default_rng(0).beta(1, 20, photos).astype(np.float32)
    threshold = unknown_threshold(own)
    assert (own >= threshold).mean() <= 0.04
    assert (own >= threshold - 2e-4).sum() > photos * 0.04 - 1


def test_own_photos_that_are_all_unknown_for_certain_leave_a_threshold_of_one() -> None:
    assert unknown_threshold(np.ones(50, np.float32)) == 1.0
