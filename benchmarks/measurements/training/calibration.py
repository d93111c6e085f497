"""Calibration on photos that neither the network nor its temperature has seen, for few classes and for many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import msgspec
import numpy as np

from training.data.dataset import Dataset
from training.data.pixels import truth
from training.data.split import assign_folds
from training.learning.crossvalidate import (
    Fold,
    checkpoint_of,
    folds,
    held_out_logits,
    predictions_of,
    train_fold,
)
from training.metrics.calibration import fit_temperature
from training.metrics.scores import Predictions, equal_mass_error, pooled, score
from training.recipe import Recipe

PARTS = 5  # of the photos: one is held out, and one of five parts of the rest validates, as `prepare` splits them
EQUAL_MASS_PHOTOS = 500
GOAL = 0.05  # the most that mean confidence may be off accuracy, mean of the seeds


class CalibrationFigures(msgspec.Struct, frozen=True):
    """One data set: figures over all held-out answers, `gap` is mean confidence less accuracy, by seed and over all.

    `raw_confidence` is what it would be without a temperature; `equal_mass_error` is None below 500 answers.
    """

    name: str
    classes: int
    photos: int
    answers: int
    accuracy: float
    confidence: float
    raw_confidence: float
    temperatures: list[float]
    gaps: list[float]
    equal_mass_error: float | None

    @property
    def gap(self) -> float:
        """The mean of the seeds."""
        return float(np.mean(self.gaps))


class CalibrationResult(msgspec.Struct, frozen=True):
    """All data sets, measured with one recipe."""

    image_size: int
    epochs: int
    sets: list[CalibrationFigures]


def measure_calibration(
    name: str, dataset: Dataset, recipe: Recipe, seeds: Sequence[int], *, every_fold: bool
) -> CalibrationFigures:
    """Train with each seed, fit the temperature on its validation photos, and ask about those that are held out.

    Each seed holds out a fifth of its own; with `every_fold` it holds out every fifth in turn, so that each photo is
    asked about once by each seed. Raises DatasetError where a class is too small for that.
    """
    said: list[Predictions] = []
    raw: list[float] = []
    temperatures: list[float] = []
    gaps: list[float] = []
    for seed in seeds:
        parts = []
        for held_out, checkpoint_fold in _rounds(dataset, seed, every_fold=every_fold):
            seeded = replace(recipe, seed=seed)
            fitted = train_fold(dataset, checkpoint_fold, seeded, what=f"{name}, seed {seed}")
            checkpoint = checkpoint_of(dataset, seeded, fitted)
            validation = checkpoint_fold.held_out
            temperature = fit_temperature(held_out_logits(checkpoint, dataset, validation), truth(dataset)[validation])
            logits = held_out_logits(checkpoint, dataset, held_out)
            parts.append(predictions_of(logits, dataset, held_out, temperature))
            raw += predictions_of(logits, dataset, held_out, 1.0).confidence.tolist()
            temperatures.append(temperature)
        said += parts
        gaps.append(_gap(pooled(parts)))
    return _figures(name, dataset, pooled(said), raw, temperatures, gaps)


def _rounds(dataset: Dataset, seed: int, *, every_fold: bool) -> Iterator[tuple[np.ndarray, Fold]]:
    """Rows to ask about, and a fold of the others: to train, and to validate."""
    photos = dataset.photos()
    outer = folds(dataset, PARTS, seed)
    for fold in outer if every_fold else [outer[seed % PARTS]]:
        rest = fold.train
        labels, groups = [photos[row].label for row in rest], [photos[row].group for row in rest]
        part = assign_folds(labels, groups, min(PARTS, _smallest(labels, groups)), seed)
        yield fold.held_out, Fold(fold.number, rest[part != 0], rest[part == 0])


def _smallest(labels: Sequence[str], groups: Sequence[int]) -> int:
    pairs = set(zip(labels, groups, strict=True))
    return min(sum(one == label for one, _ in pairs) for label in set(labels))


def _gap(said: Predictions) -> float:
    return float(said.confidence.mean()) - score(said).accuracy


def _figures(
    name: str, dataset: Dataset, said: Predictions, raw: list[float], temperatures: list[float], gaps: list[float]
) -> CalibrationFigures:
    answers = len(said.truth)
    return CalibrationFigures(
        name=name,
        classes=len(dataset.labels),
        photos=len(dataset.photos()),
        answers=answers,
        accuracy=score(said).accuracy,
        confidence=float(said.confidence.mean()),
        raw_confidence=float(np.mean(raw)),
        temperatures=temperatures,
        gaps=gaps,
        equal_mass_error=equal_mass_error(said) if answers >= EQUAL_MASS_PHOTOS else None,
    )
