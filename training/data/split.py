"""Stratified, grouped folds: each class in its share, near-duplicates in the same fold.

Photos of other things are dealt to the folds of the classes' photos, which are the same with them and without.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from runtime.names import UNKNOWN
from training.data.dataset import DatasetError, Photo
from training.data.other.kinds import kind_of
from training.data.survey import SurveyedPhoto


def assign_photos(
    photos: Sequence[Photo] | Sequence[SurveyedPhoto], groups: Sequence[int], folds: int, seed: int
) -> NDArray[np.int64]:
    """The fold, 0..folds-1, of each of N photos, of which `groups[i]` is the near-duplicate group.

    Photos of other things are dealt kind by kind. Raises DatasetError where a class has fewer groups than there are
    folds.
    """
    numbers = np.array(groups, dtype=np.int64)
    own = np.array([photo.label != UNKNOWN for photo in photos])
    assigned = np.zeros(len(photos), dtype=np.int64)
    labels = [photo.label for photo in photos if photo.label != UNKNOWN]
    assigned[own] = assign_folds(labels, numbers[own].tolist(), folds, seed)
    of_group = dict(zip(numbers[own].tolist(), assigned[own].tolist(), strict=True))
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(~own))
    for row in sorted(rows.tolist(), key=lambda row: kind_of(photos[row].path) or ""):
        assigned[row] = of_group.setdefault(groups[row], len(of_group) % folds)
    return assigned


def assign_folds(labels: Sequence[str], groups: Sequence[int], folds: int, seed: int) -> NDArray[np.int64]:
    """The fold, 0..folds-1, of each of N photos with class `labels[i]` and near-duplicate group `groups[i]`.

    Raises DatasetError where a class has fewer groups than there are folds.
    """
    members: dict[str, set[int]] = defaultdict(set)
    for label, group in zip(labels, groups, strict=True):
        members[label].add(group)
    if len(members) < 2:
        raise DatasetError(f"only one class ({', '.join(members)}); a classifier needs at least two")
    for label, distinct in sorted(members.items()):
        if len(distinct) < folds:
            raise DatasetError(
                f"class {label!r} has {len(distinct)} different photos, a split in {folds} parts needs at least "
                f"{folds}; add photos"
            )
    assigned = np.zeros(len(labels), dtype=np.int64)
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    for fold, (_, held_out) in enumerate(splitter.split(np.zeros(len(labels)), labels, groups)):
        assigned[held_out] = fold
    return assigned
