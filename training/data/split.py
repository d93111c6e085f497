"""Stratified, grouped folds: each class in its share, near-duplicates in the same fold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from training.data.dataset import DatasetError


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
