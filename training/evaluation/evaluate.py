"""Evaluation of a checkpoint on its validation photos, or of the recipe by cross-validation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.data.altered_copies import ALTERATIONS, altered_copy
from training.data.dataset import Dataset
from training.data.pixels import truth
from training.evaluation.report import Copies, write_report
from training.evaluation.republished import Republished, evaluate_copies
from training.evaluation.thumbnails import thumbnail
from training.files import HISTORY
from training.learning.crossvalidate import copies_logits, cross_validate, held_out_logits, predictions_of, split_of
from training.learning.history import KEPT_BECAUSE, read_history
from training.learning.size_choice import SizeChoice, read_choice
from training.metrics.calibration import Calibration, abstain_threshold, calibrate, cross_fitted
from training.metrics.scores import Predictions, pooled, score
from training.model.checkpoint import Checkpoint, CheckpointError
from training.recipe import Recipe


def evaluate_checkpoint(file: Path, dataset: Dataset, out: Path) -> tuple[Predictions, Path]:
    """Report on the checkpoint `file` over its dataset's validation photos; returns predictions and the report's path.

    They are what `python -m export build` will serve but for INT8: the temperature is fitted on these same photos.
    Raises CheckpointError where the checkpoint was trained on another dataset.
    """
    checkpoint = Checkpoint.load(file)
    if checkpoint.dataset_sha256 != dataset.manifest.sha256:
        raise CheckpointError(
            f"{file}: was trained on dataset {checkpoint.dataset_sha256[:8]}, {dataset.path} is "
            f"{dataset.manifest.sha256[:8]}; name the right one with --data or train again"
        )
    rows = split_of(dataset).held_out
    logits = held_out_logits(checkpoint, dataset, rows)
    calibration = calibrate(logits, truth(dataset)[rows])
    predictions = predictions_of(logits, dataset, rows, calibration.temperature)
    history = file.with_name(HISTORY)
    report = write_report(
        out,
        title="Validation report",
        predictions=predictions,
        photo_bytes=_reader(dataset),
        facts=_facts(
            dataset,
            {
                "Input": f"{checkpoint.image_size} x {checkpoint.image_size} px",
                "Epochs": f"{checkpoint.epochs}; {KEPT_BECAUSE}",
                "Weights": checkpoint.weights,
                "Seed": str(checkpoint.seed),
                "Precision": checkpoint.precision,
                "Temperature": f"{calibration.temperature:.3f}, fitted on these photos",
            },
        ),
        history=read_history(history).epochs if history.exists() else None,
        calibration=calibration,
        folds=None,
        sizes=_choice_for(checkpoint, file.parent),
    )
    return predictions, report


class CrossValidation(NamedTuple):
    """Each fold's held-out predictions, the figures on altered copies of the same photos, and the report's path."""

    parts: list[Predictions]
    republished: Republished
    report: Path


def evaluate_recipe(dataset: Dataset, recipe: Recipe, count: int, out: Path) -> CrossValidation:
    """Cross-validate on the photos as they are and as others publish them, and report.

    The temperature of each fold is fitted on the photos of all others: its confidence is that of unseen photos.
    """
    done, copies = [], []
    for fold, checkpoint in cross_validate(dataset, recipe, count):
        done.append((fold.held_out, held_out_logits(checkpoint, dataset, fold.held_out)))
        copies.append(copies_logits(checkpoint, dataset, fold.held_out, seed=recipe.seed))
    classes = truth(dataset)
    temperatures = cross_fitted([logits for _, logits in done], [classes[rows] for rows, _ in done])
    parts = [
        predictions_of(logits, dataset, rows, temperature)
        for (rows, logits), temperature in zip(done, temperatures, strict=True)
    ]
    everything = pooled(parts)
    republished = _republished(dataset, [rows for rows, _ in done], copies, recipe.seed)
    threshold = abstain_threshold(everything.probabilities, everything.truth)
    report = write_report(
        out,
        title=f"{count}-fold cross-validation",
        predictions=everything,
        photo_bytes=_reader(dataset),
        facts=_facts(
            dataset,
            {
                "Input": f"{recipe.image_size} x {recipe.image_size} px",
                "Epochs": f"{recipe.epochs}; {KEPT_BECAUSE}",
                "Weights": recipe.weights,
                "Seed": str(recipe.seed),
                "Temperature": f"{min(temperatures):.3f} to {max(temperatures):.3f}, each fitted on the other folds",
            },
        ),
        calibration=Calibration(float(np.median(temperatures)), threshold),
        history=None,
        folds=[score(part) for part in parts],
        copies=Copies(republished, _examples(dataset, recipe.seed)),
    )
    return CrossValidation(parts, republished, report)


def _republished(
    dataset: Dataset, rows: list[NDArray[np.int64]], copies: list[dict[str, NDArray[np.float32]]], seed: int
) -> Republished:
    """Figures of the altered copies of the photos in `rows`, fold by fold, from their logits."""
    said = {
        kind: pooled([predictions_of(fold[kind], dataset, held, 1.0) for held, fold in zip(rows, copies, strict=True)])
        for kind in ALTERATIONS
    }
    return evaluate_copies(said, seed=seed)


def _examples(dataset: Dataset, seed: int) -> dict[str, str | None]:
    """Each kind of copy of one photo, as pictures for the report."""
    photo = dataset.photos()[0]
    data = dataset.read(photo)
    return {kind: thumbnail(altered_copy(data, kind, name=photo.path, seed=seed)) for kind in ALTERATIONS}


def _choice_for(checkpoint: Checkpoint, folder: Path) -> SizeChoice | None:
    """How the checkpoint's size was chosen, None where it was given."""
    choice = read_choice(folder)
    theirs = choice and (choice.dataset_sha256, choice.chosen) == (checkpoint.dataset_sha256, checkpoint.image_size)
    return choice if theirs else None


def _reader(dataset: Dataset) -> Callable[[str], bytes]:
    photos = {photo.path: photo for photo in dataset.photos()}
    return lambda path: dataset.read(photos[path])


def _facts(dataset: Dataset, settings: dict[str, str]) -> dict[str, str]:
    manifest = dataset.manifest
    return {"Dataset": f"{manifest.sha256[:12]} ({len(manifest.photos)} photos)", **settings}
