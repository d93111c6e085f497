"""Training on a split and k-fold cross-validation, with cached checkpoints."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import training.learning.augment
import training.learning.batchnorm_folding
import training.learning.fit
import training.learning.imbalance
import training.learning.matmul_convolutions
import training.learning.pruning
import training.learning.sampling
import training.metrics.priors
import training.model.network
import training.recipe
from runtime.cli.progress import progress
from runtime.names import UNKNOWN
from training.data.altered_copies import ALTERATIONS
from training.data.dataset import Dataset
from training.data.other.kinds import kind_of
from training.data.pixels import COPY_SEED, load_altered_pixels, load_pixels, load_validation_copies, truth
from training.data.split import assign_photos
from training.learning.fit import Fitted, TrainingPhotos, fit, predict_logits, steps
from training.learning.prediction import quick_to_predict
from training.learning.pruning import narrow
from training.metrics.calibration import AlteredOutputs, scaled
from training.metrics.scores import Predictions, predictions_from
from training.model.checkpoint import Checkpoint, git_commit
from training.recipe import Recipe, stored_size


@dataclass(frozen=True)
class Fold:
    """One round of cross-validation: rows of the dataset's photos, [N] and [M]."""

    number: int
    train: NDArray[np.int64]
    held_out: NDArray[np.int64]


def folds(dataset: Dataset, count: int, seed: int) -> list[Fold]:
    """Divide the dataset `count` ways by class, near-duplicates together; raises DatasetError where it is too small."""
    photos = dataset.photos()
    number = assign_photos(photos, [photo.group for photo in photos], count, seed)
    return [Fold(k, np.flatnonzero(number != k), np.flatnonzero(number == k)) for k in range(count)]


def split_of(dataset: Dataset) -> Fold:
    """The dataset's own train and validation photos."""
    split = np.array([photo.split for photo in dataset.photos()])
    return Fold(0, np.flatnonzero(split == "train"), np.flatnonzero(split == "validation"))


def unvalidated(fold: Fold) -> Fold:
    """The same round for a training that is not to look at its held-out photos."""
    return replace(fold, held_out=fold.held_out[:0])


def without_kinds(dataset: Dataset, fold: Fold, kinds: Collection[str]) -> Fold:
    """The same round for a training that is not to know these kinds of other things; held-out photos stay."""
    return replace(fold, train=fold.train[trained_on(dataset, kinds)[fold.train]])


def trained_on(dataset: Dataset, keep_out: Collection[str]) -> NDArray[np.bool_]:
    """Which of the dataset's photos are not of the kinds of other things in `keep_out`, [N]."""
    return np.array([photo.label != UNKNOWN or kind_of(photo.path) not in keep_out for photo in dataset.photos()])


def photos_of(dataset: Dataset, fold: Fold, image_size: int) -> TrainingPhotos:
    """The pixels of one round."""
    classes = truth(dataset)
    return TrainingPhotos(
        labels=dataset.labels,
        train=load_pixels(dataset, stored_size(image_size))[fold.train],
        train_truth=classes[fold.train],
        validation=load_pixels(dataset, image_size)[fold.held_out],
        validation_truth=classes[fold.held_out],
        unknown=dataset.has_unknown,
    )


def train_fold(dataset: Dataset, fold: Fold, recipe: Recipe, *, what: str) -> Fitted:
    """Train on one round's photos, with progress."""
    photos = photos_of(dataset, fold, recipe.image_size)
    with progress(what, steps(photos.epoch_size, recipe)) as advance:
        return fit(photos, recipe, advance)


def cross_validate(
    dataset: Dataset, recipe: Recipe, count: int, *, cache: Path | None = None, keep_out: Collection[str] = ()
) -> Iterator[tuple[Fold, Checkpoint]]:
    """Train `count` networks, each without its own fold; the folder `cache` keeps them for another time.

    None is shown the kinds of other things in `keep_out`. Of each the last epoch is kept, as everywhere; the held-out
    photos are not looked at.
    """
    for whole in folds(dataset, count, recipe.seed):
        fold = without_kinds(dataset, whole, keep_out)
        seeded = replace(recipe, seed=recipe.seed + fold.number)
        name = f"{_recipe_id(dataset, seeded, keep_out)}-fold{fold.number + 1}of{count}.pt"
        kept = None if cache is None else cache / name
        if kept is not None and kept.exists():
            yield fold, Checkpoint.load(kept)
            continue
        what = f"{recipe.image_size} px, fold {fold.number + 1}/{count}"
        if keep_out:
            what += f", without {', '.join(keep_out)}"
        checkpoint = checkpoint_of(dataset, seeded, train_fold(dataset, unvalidated(fold), seeded, what=what))
        if kept is not None:
            checkpoint.save(kept)
        yield fold, checkpoint


def narrowed(dataset: Dataset, fold: Fold, wide: Checkpoint, share: float, cache: Path) -> Checkpoint:
    """The narrow network made of a fold's `wide` one, with the fold's own photos; the folder `cache` keeps it."""
    code = Path(str(training.learning.pruning.__file__)).read_bytes()
    weights = b"".join(value.numpy().tobytes() for value in wide.state_dict.values())
    digest = hashlib.sha256(b" ".join([code, weights, repr(share).encode()])).hexdigest()
    kept = cache / f"{wide.image_size}px-narrow-{digest[:12]}.pt"
    if not kept.exists():
        photos = photos_of(dataset, fold, wide.image_size)
        narrow(wide, photos, share=share, seed=wide.seed).checkpoint.save(kept)
    return Checkpoint.load(kept)


def _recipe_id(dataset: Dataset, recipe: Recipe, keep_out: Collection[str]) -> str:
    """Changes with anything that would change the weights: photos, settings, the training code."""
    modules = (
        training.recipe,
        training.learning.fit,
        training.learning.augment,
        training.learning.matmul_convolutions,
        training.learning.imbalance,
        training.learning.sampling,
        training.metrics.priors,
        training.model.network,
        training.learning.batchnorm_folding,
    )
    code = b"".join(Path(str(module.__file__)).read_bytes() for module in modules)
    parts = [dataset.manifest.sha256, repr(recipe), hashlib.sha256(code).hexdigest(), *sorted(keep_out)]
    return f"{recipe.image_size}px-{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:12]}"


def checkpoint_of(dataset: Dataset, recipe: Recipe, fitted: Fitted) -> Checkpoint:
    """The checkpoint of a run."""
    return Checkpoint(
        state_dict=fitted.state,
        labels=dataset.labels,
        image_size=recipe.image_size,
        weights=recipe.weights,
        epochs=recipe.epochs,
        seed=recipe.seed,
        precision=fitted.precision,
        dataset_sha256=dataset.manifest.sha256,
        git_commit=git_commit(),
        unknown=dataset.has_unknown,
    )


def held_out_logits(checkpoint: Checkpoint, dataset: Dataset, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Logits [N, C] of some of the dataset's photos, by their rows; of the unknown class, too, if there is one."""
    return predict_logits(quick_to_predict(checkpoint.network()), load_pixels(dataset, checkpoint.image_size)[rows])


def predictions_of(
    logits: NDArray[np.float32], dataset: Dataset, rows: NDArray[np.int64], temperature: float
) -> Predictions:
    """Calibrated predictions from the `logits` [N, C] of the photos in `rows`."""
    paths = [photo.path for photo in dataset.photos()]
    outputs = scaled(logits, temperature)
    return predictions_from(dataset.labels, [paths[row] for row in rows], truth(dataset)[rows], outputs)


def copies_logits(
    checkpoint: Checkpoint, dataset: Dataset, rows: NDArray[np.int64], *, seed: int
) -> dict[str, NDArray[np.float32]]:
    """Logits [N, C] of an altered copy of each of these photos, for each kind of `altered_copies`."""
    network, size = quick_to_predict(checkpoint.network()), checkpoint.image_size
    return {
        kind: predict_logits(network, load_altered_pixels(dataset, size, kind, seed=seed)[rows]) for kind in ALTERATIONS
    }


def validation_copies_logits(checkpoint: Checkpoint, dataset: Dataset) -> AlteredOutputs:
    """Logits of altered copies of the labels' validation photos."""
    copies = load_validation_copies(dataset, checkpoint.image_size, seed=COPY_SEED)
    network = quick_to_predict(checkpoint.network())
    return AlteredOutputs([predict_logits(network, pixels) for pixels in copies.kinds.values()], copies.truth)


def predict(checkpoint: Checkpoint, dataset: Dataset, rows: NDArray[np.int64]) -> Predictions:
    """What a checkpoint says of some of the dataset's photos, by their rows; not calibrated."""
    return predictions_of(held_out_logits(checkpoint, dataset, rows), dataset, rows, temperature=1.0)
