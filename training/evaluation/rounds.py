"""Rounds of a cross-validation: what each network says of its held-out photos, and of altered copies of these."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.names import UNKNOWN
from training.data.dataset import Dataset, DatasetError
from training.data.other.kinds import kind_of
from training.data.pixels import truth
from training.evaluation.certain import HeldOut
from training.evaluation.open_set import KeptOut, kept_out_figures
from training.learning.crossvalidate import (
    copies_logits,
    cross_validate,
    held_out_logits,
    predictions_of,
    trained_on,
)
from training.metrics.calibration import Calibration, calibrate, cross_fitted, nested_thresholds, pooled_copies
from training.recipe import Recipe


class Rounds(NamedTuple):
    """All rounds of a cross-validation: the rows of held-out photos, logits of their copies, and what follows.

    `calibration` is set on all of them, for a network that is trained on photos of its own.
    """

    rows: list[NDArray[np.int64]]
    copies: list[dict[str, NDArray[np.float32]]]
    temperatures: list[float]
    folds: list[HeldOut]
    calibration: Calibration


def cross_validate_copies(dataset: Dataset, recipe: Recipe, count: int, keep_out: Collection[str] = ()) -> Rounds:
    """Train `count` networks, without the kinds in `keep_out`, and ask each about its held-out photos and their copies.

    Temperatures and thresholds of each fold are set on the photos of all others.
    """
    rows, logits, copies = [], [], []
    for fold, checkpoint in cross_validate(dataset, recipe, count, keep_out=keep_out):
        rows.append(fold.held_out)
        logits.append(held_out_logits(checkpoint, dataset, fold.held_out))
        copies.append(copies_logits(checkpoint, dataset, fold.held_out, seed=recipe.seed))
    classes, labels = truth(dataset), len(dataset.labels)
    taught = trained_on(dataset, keep_out)
    trained = [taught[held] for held in rows]  # the others set no threshold
    known = [part[kept] for part, kept in zip(logits, trained, strict=True)]
    truths = [classes[held[kept]] for held, kept in zip(rows, trained, strict=True)]
    known_copies = [
        {kind: part[kept] for kind, part in of_fold.items()} for of_fold, kept in zip(copies, trained, strict=True)
    ]
    temperatures = cross_fitted(known, truths, labels)
    thresholds = nested_thresholds(known, known_copies, truths, labels, temperatures)
    folds = [
        HeldOut(
            predictions_of(part, dataset, held, temperature),
            {kind: predictions_of(copy, dataset, held, temperature) for kind, copy in copied.items()},
            threshold,
        )
        for held, part, copied, temperature, threshold in zip(
            rows, logits, copies, temperatures, thresholds, strict=True
        )
    ]
    calibration = calibrate(
        np.concatenate(known), np.concatenate(truths), labels, copies=pooled_copies(known_copies, truths, labels)
    )
    return Rounds(rows, copies, temperatures, folds, calibration)


def kept_out(dataset: Dataset, recipe: Recipe, count: int, kinds: Collection[str]) -> KeptOut:
    """Cross-validate without these kinds of other things, and say how many of their photos get a certain answer."""
    return kept_out_figures(cross_validate_copies(dataset, recipe, count, kinds).folds, sorted(kinds))


def known_kinds(dataset: Dataset, kinds: Collection[str]) -> Collection[str]:
    """The kinds themselves. Raises DatasetError for one of which there is no photo, and where no other kind is left."""
    there = {kind for photo in dataset.photos() if photo.label == UNKNOWN and (kind := kind_of(photo.path))}
    if missing := sorted(set(kinds) - there):
        none = "it has none; `python -m training fetch --other public` brings some"
        has = f"it has {', '.join(sorted(there))}" if there else none
        raise DatasetError(f"{dataset.path}: no kind of other things is called {', '.join(missing)}; {has}")
    if there <= set(kinds):
        raise DatasetError(
            f"{dataset.path}: without {', '.join(sorted(kinds))} there are no other things to learn from"
        )
    return kinds
