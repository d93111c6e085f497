"""Findings: everything that the inspection of a folder knows, and nothing about how it is shown."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import DatasetError
from training.data.survey import Survey
from training.inspection.crossvalidation import Examples, probabilities_of
from training.inspection.features import frozen_features
from training.inspection.labels import Confusion, Suspect, confusions, suspects
from training.inspection.learning_curve import LearningCurve, learning_curve
from training.metrics.intervals import Interval, proportion_interval
from training.model.network import WeightsError

LEAST_DIFFERENT = 5  # photos of a class; fewer cannot be split in five
FEW_DIFFERENT = 30  # photos of a class, below which a report's interval is wider than most differences


@dataclass(frozen=True)
class ClassFindings:
    """One class: its photos, how many different pictures they are, and the share that cross-validation names right."""

    label: str
    photos: int
    different: int
    left_out: int
    right: float | None = None
    interval: Interval = (0.0, 1.0)


@dataclass(frozen=True)
class ModelFindings:
    """What cross-validation of a logistic regression on frozen features says; `rows` are the survey's photos it saw."""

    labels: list[str]
    rows: list[int]
    accuracy: float
    interval: Interval
    confusion: NDArray[np.int64]
    suspects: list[Suspect]
    confused: list[Confusion]
    curve: LearningCurve | None


@dataclass(frozen=True)
class Findings:
    """All findings; `model` is None where there was nothing to compute it with, and `without_model` says why."""

    survey: Survey
    classes: list[ClassFindings]
    model: ModelFindings | None
    without_model: str | None


def findings_of(survey: Survey, *, weights: str, cache: Path) -> Findings:
    """Inspect what a survey has found of the classes; `cache` is a folder for features.

    Without the ImageNet weights the findings say so; raises WeightsError for a file of weights that cannot be used.
    """
    survey, model, why = survey.of_classes(), None, None
    try:
        model = _model_findings(survey, weights, cache)
    except _NoModelError as error:
        why = str(error)
    return Findings(survey, _class_findings(survey, model), model, why)


class _NoModelError(Exception):
    """Why nothing can be cross-validated."""


def _model_findings(survey: Survey, weights: str, cache: Path) -> ModelFindings:
    different = _different(survey)
    labels = [label for label in survey.labels if different[label] > 1]
    if len(labels) < 2:
        raise _NoModelError("it takes two classes with at least two different photos each")
    if weights == "none":
        raise _NoModelError("it needs pretrained weights, and --weights none asks for none")
    rows = [row for row, photo in enumerate(survey.photos) if photo.label in labels]
    photos = [survey.photos[row] for row in rows]
    try:
        features = frozen_features(survey.folder, photos, weights, cache)
    except WeightsError as error:
        if weights != "imagenet":
            raise
        raise _NoModelError(str(error)) from error
    truth = np.array([labels.index(photo.label) for photo in photos])
    examples = Examples(features, truth, np.array([survey.groups[row] for row in rows]), labels)
    try:
        return _cross_validated(examples, rows)
    except DatasetError as error:
        raise _NoModelError(str(error)) from error


def _cross_validated(examples: Examples, rows: list[int]) -> ModelFindings:
    labels, truth = list(examples.labels), examples.truth
    probabilities = probabilities_of(examples)
    said = probabilities.argmax(axis=1)
    counts = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(counts, (truth, said), 1)
    right = int(np.trace(counts))
    return ModelFindings(
        labels,
        rows,
        right / len(truth),
        proportion_interval(right, len(truth)),
        counts,
        suspects(probabilities, truth, labels),
        confusions(counts, labels),
        learning_curve(examples),
    )


def _class_findings(survey: Survey, model: ModelFindings | None) -> list[ClassFindings]:
    photos = Counter(photo.label for photo in survey.photos)
    different = _different(survey)
    left_out = Counter(left.path.split("/")[0] for left in survey.left_out)
    found = []
    for label in survey.labels:
        figures = ClassFindings(label, photos[label], different[label], left_out[label])
        if model and label in model.labels:
            row = model.confusion[model.labels.index(label)]
            right, total = int(row[model.labels.index(label)]), int(row.sum())
            figures = ClassFindings(
                *(label, photos[label], different[label], left_out[label]),
                right=right / total,
                interval=proportion_interval(right, total),
            )
        found.append(figures)
    return found


def _different(survey: Survey) -> Counter[str]:
    """Pictures by class, near-duplicates counted once."""
    groups = zip(survey.photos, survey.groups, strict=True)
    return Counter(label for label, _ in {(photo.label, group) for photo, group in groups})
