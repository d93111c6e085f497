from __future__ import annotations

import numpy as np
import pytest

from runtime.teaching.learning.crossvalidation import FOLDS, folds_of


def test_each_fold_holds_as_many_photos_of_each_class() -> None:
    truth = np.repeat([0, 1, 2], [200, 43, 7])
    fold = folds_of(truth, np.arange(250))
    assert fold.max() + 1 == FOLDS
    for each in range(3):
        counts = np.bincount(fold[truth == each], minlength=FOLDS)
        assert np.ptp(counts) <= 1
    assert np.ptp(np.bincount(fold)) <= 3


def test_near_copies_are_held_out_together() -> None:
    truth = np.repeat([0, 1], 60)
    groups = np.arange(120) // 4 * 4
    fold = folds_of(truth, groups)
    assert all(len(np.unique(fold[groups == group])) == 1 for group in groups)
    assert np.ptp(np.bincount(fold)) <= 8


@pytest.mark.parametrize("photos", [3, 4, 10])
def test_of_few_photos_each_fold_holds_out_one_of_each_class(photos: int) -> None:
    truth = np.repeat([0, 1], photos)
    fold = folds_of(truth, np.arange(2 * photos))
    for each in (0, 1):
        assert sorted(fold[truth == each]) == list(range(photos))


def test_a_tiny_class_beside_a_large_one_is_held_out_photo_by_photo() -> None:
    truth = np.repeat([0, 1], [100, 3])
    fold = folds_of(truth, np.arange(103))
    assert len(np.unique(fold[100:])) == 3
    assert fold.max() + 1 == FOLDS


def test_folds_come_from_their_seed() -> None:
    truth, groups = np.repeat([0, 1], 50), np.arange(100)
    assert (folds_of(truth, groups, seed=1) == folds_of(truth, groups, seed=1)).all()
    assert (folds_of(truth, groups, seed=1) != folds_of(truth, groups, seed=2)).any()


def test_halves_have_half_of_each_class() -> None:
    truth = np.repeat([0, 1], [21, 8])
    half = folds_of(truth, np.arange(29), folds=2)
    assert np.bincount(half[truth == 0]).tolist() in ([10, 11], [11, 10])
    assert np.bincount(half[truth == 1]).tolist() == [4, 4]
