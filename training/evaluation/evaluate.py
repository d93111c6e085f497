"""Evaluation of a checkpoint on its validation photos, or of the recipe by cross-validation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from training.data.dataset import Dataset
from training.evaluation.report import write_report
from training.files import HISTORY
from training.learning.crossvalidate import cross_validate, predict, split_of
from training.learning.history import KEPT_BECAUSE, read_history
from training.learning.size_choice import SizeChoice, read_choice
from training.metrics.scores import Predictions, pooled, score
from training.model.checkpoint import Checkpoint, CheckpointError
from training.recipe import Recipe


def evaluate_checkpoint(file: Path, dataset: Dataset, out: Path) -> tuple[Predictions, Path]:
    """Report on the checkpoint `file` over its dataset's validation photos; returns predictions and the report's path.

    Raises CheckpointError where the checkpoint was trained on another dataset.
    """
    checkpoint = Checkpoint.load(file)
    if checkpoint.dataset_sha256 != dataset.manifest.sha256:
        raise CheckpointError(
            f"{file}: was trained on dataset {checkpoint.dataset_sha256[:8]}, {dataset.path} is "
            f"{dataset.manifest.sha256[:8]}; name the right one with --data or train again"
        )
    predictions = predict(checkpoint, dataset, split_of(dataset).held_out)
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
            },
        ),
        history=read_history(history).epochs if history.exists() else None,
        folds=None,
        sizes=_choice_for(checkpoint, file.parent),
    )
    return predictions, report


def evaluate_recipe(dataset: Dataset, recipe: Recipe, count: int, out: Path) -> tuple[list[Predictions], Path]:
    """Cross-validate and report; returns each fold's held-out predictions and the report's path."""
    parts = [predict(checkpoint, dataset, fold.held_out) for fold, checkpoint in cross_validate(dataset, recipe, count)]
    report = write_report(
        out,
        title=f"{count}-fold cross-validation",
        predictions=pooled(parts),
        photo_bytes=_reader(dataset),
        facts=_facts(
            dataset,
            {
                "Input": f"{recipe.image_size} x {recipe.image_size} px",
                "Epochs": f"{recipe.epochs}; {KEPT_BECAUSE}",
                "Weights": recipe.weights,
                "Seed": str(recipe.seed),
            },
        ),
        history=None,
        folds=[score(part) for part in parts],
    )
    return parts, report


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
