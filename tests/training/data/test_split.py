from __future__ import annotations

import numpy as np
import pytest

from training.data.dataset import DatasetError
from training.data.split import assign_folds

LABELS = ["dandelion"] * 50 + ["grass"] * 30
ALONE = list(range(80))


def test_every_fold_has_its_share_of_every_class() -> None:
    folds = assign_folds(LABELS, ALONE, 5, seed=42)
    assert folds.dtype == np.int64
    assert np.bincount(folds[:50]).tolist() == [10] * 5
    assert np.bincount(folds[50:]).tolist() == [6] * 5


def test_a_group_is_never_divided() -> None:
    groups = [number // 4 for number in ALONE]
    folds = assign_folds(LABELS, groups, 5, seed=42)
    for group in set(groups):
        assert len(set(folds[np.array(groups) == group])) == 1


def test_the_seed_decides() -> None:
    first = assign_folds(LABELS, ALONE, 5, seed=1)
    assert np.array_equal(first, assign_folds(LABELS, ALONE, 5, seed=1))
    assert not np.array_equal(first, assign_folds(LABELS, ALONE, 5, seed=2))


def test_many_photos_in_few_groups_are_too_few() -> None:
    with pytest.raises(DatasetError, match="class 'grass' has 4 different photos, a split in 5 parts needs at least 5"):
        assign_folds(["dandelion"] * 9 + ["grass"] * 40, [*range(9), *(9 + number % 4 for number in range(40))], 5, 42)


def test_one_class_alone_is_refused() -> None:
    with pytest.raises(DatasetError, match="only one class \\(grass\\); a classifier needs at least two"):
        assign_folds(["grass"] * 10, list(range(10)), 2, seed=42)
