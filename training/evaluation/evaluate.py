"""Evaluation of a checkpoint on its validation photos, or of the recipe by cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from runtime.names import UNKNOWN
from training.data.altered_copies import ALTERATIONS, altered_copy
from training.data.dataset import Dataset
from training.data.pixels import truth
from training.evaluation.certain import Certain, HeldOut, certain
from training.evaluation.open_set import UnknownFigures, unknown_figures
from training.evaluation.report import Copies, OpenSetReport, write_report
from training.evaluation.republished import Republished, evaluate_copies
from training.evaluation.rounds import Rounds, cross_validate_copies, kept_out, known_kinds
from training.evaluation.thumbnails import thumbnail
from training.files import HISTORY
from training.learning.cross_calibration import CrossCalibration, write_calibration
from training.learning.crossvalidate import (
    held_out_logits,
    predictions_of,
    split_of,
    validation_copies_logits,
)
from training.learning.history import KEPT_BECAUSE, read_history
from training.learning.size_choice import SizeChoice, read_choice
from training.metrics.calibration import calibrate
from training.metrics.scores import Predictions, pooled, score
from training.model.checkpoint import Checkpoint, CheckpointError
from training.recipe import Recipe


class Validation(NamedTuple):
    """Predictions of photos of the labels, the figures of the unknown class (None without), and the report's path."""

    said: Predictions
    unknown: UnknownFigures | None
    report: Path


def evaluate_checkpoint(file: Path, dataset: Dataset, out: Path) -> Validation:
    """Report on the checkpoint `file` over its dataset's validation photos.

    They are what `python -m export build` will serve but for INT8: the
    temperature is fitted on these same photos. Raises CheckpointError where the checkpoint was trained on another
    dataset.
    """
    checkpoint = Checkpoint.load(file)
    if checkpoint.dataset_sha256 != dataset.manifest.sha256:
        raise CheckpointError(
            f"{file}: was trained on dataset {checkpoint.dataset_sha256[:8]}, {dataset.path} is "
            f"{dataset.manifest.sha256[:8]}; name the right one with --data or train again"
        )
    rows = split_of(dataset).held_out
    logits = held_out_logits(checkpoint, dataset, rows)
    copies = validation_copies_logits(checkpoint, dataset) if checkpoint.unknown else None
    calibration = calibrate(logits, truth(dataset)[rows], len(dataset.labels), copies=copies)
    said = predictions_of(logits, dataset, rows, calibration.temperature)
    held_out = [HeldOut(said, {}, calibration.thresholds)]
    unknown = OpenSetReport(unknown_figures(held_out), said) if checkpoint.unknown else None
    history = file.with_name(HISTORY)
    report = write_report(
        out,
        title="Validation report",
        predictions=said.own,
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
        held_out=held_out,
        folds=None,
        sizes=_choice_for(checkpoint, file.parent),
        unknown=unknown,
    )
    return Validation(said.own, unknown and unknown.figures, report)


class CrossValidation(NamedTuple):
    """Each fold's held-out predictions of photos of the labels, the figures on altered copies of these, those of
    answers with certainty, those of the unknown class (None without), the calibration, and the report's path."""

    parts: list[Predictions]
    republished: Republished
    certain: Certain
    unknown: UnknownFigures | None
    calibration: CrossCalibration
    report: Path


def evaluate_recipe(
    dataset: Dataset, recipe: Recipe, count: int, out: Path, *, keep_out: Sequence[Collection[str]] = ()
) -> CrossValidation:
    """Cross-validate on the photos as they are and as others publish them, and report.

    The temperature of each fold is fitted on the photos of all others, and so are its thresholds: its confidence is
    that of unseen photos. What all folds together ask for is kept beside the report, for `python -m export build`. Of
    each group of kinds in `keep_out` other networks are trained, without these kinds.
    """
    groups = [known_kinds(dataset, kinds) for kinds in keep_out]
    done = cross_validate_copies(dataset, recipe, count)
    said = [pair.said for pair in done.folds]
    everything = pooled([part.own for part in said])
    republished = _republished(dataset, done, recipe.seed)
    unknown = None
    if dataset.has_unknown:
        kept = [kept_out(dataset, recipe, count, kinds) for kinds in groups]
        figures = msgspec.structs.replace(unknown_figures(done.folds), kept_out=kept)
        unknown = OpenSetReport(figures, pooled(said))
    low, high = min(done.temperatures), max(done.temperatures)
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
                "Temperature": f"{low:.3f} to {high:.3f}, each fitted on the other folds",
            },
        ),
        calibration=done.calibration,
        history=None,
        held_out=done.folds,
        folds=[score(part.own) for part in said],
        copies=Copies(republished, _examples(dataset, recipe.seed)),
        unknown=unknown,
    )
    calibration = _cross_calibration(dataset, recipe, done)
    write_calibration(out, calibration)
    parts = [part.own for part in said]
    return CrossValidation(parts, republished, certain(done.folds), unknown and unknown.figures, calibration, report)


def _cross_calibration(dataset: Dataset, recipe: Recipe, done: Rounds) -> CrossCalibration:
    found = done.calibration
    return CrossCalibration(
        dataset_sha256=dataset.manifest.sha256,
        image_size=recipe.image_size,
        epochs=recipe.epochs,
        weights=recipe.weights,
        folds=len(done.folds),
        photos=sum(int(fold.own.sum()) for fold in done.folds),
        temperature=found.temperature,
        abstain=found.threshold,
        unknown=found.unknown_threshold,
    )


def _republished(dataset: Dataset, done: Rounds, seed: int) -> Republished:
    """Figures of the altered copies of the labels' held-out photos."""
    said = {
        kind: pooled(
            [
                predictions_of(fold[kind], dataset, held, 1.0).own
                for held, fold in zip(done.rows, done.copies, strict=True)
            ]
        )
        for kind in ALTERATIONS
    }
    return evaluate_copies(said, seed=seed)


def _examples(dataset: Dataset, seed: int) -> dict[str, str | None]:
    """Each kind of copy of one photo, as pictures for the report."""
    photo = next(photo for photo in dataset.photos() if photo.label != UNKNOWN)
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
    photos = dataset.photos()
    others = sum(photo.label == UNKNOWN for photo in photos)
    beside = f", and {others} of other things" if others else ""
    return {"Dataset": f"{dataset.manifest.sha256[:12]} ({len(photos) - others} photos{beside})", **settings}
