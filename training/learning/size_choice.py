"""Choice of the input size: the smallest within a point of the best, by a short cross-validation of each.

Only training photos take part, so that the validation photos still measure what they have not seen. Networks are
fine-tuned as `fit` does it, in fewer epochs: logistic regression on the frozen features would be cheaper, but these
lose much more at small sizes than the networks that are tuned to them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from runtime.cli.progress import Advance, progress
from runtime.names import UNKNOWN
from training import files
from training.data.dataset import Dataset, DatasetError, Photo
from training.data.pixels import forget_pixels, truth
from training.learning.crossvalidate import Fold, checkpoint_of, folds, photos_of, predict, unvalidated
from training.learning.fit import fit, steps
from training.learning.sampling import epoch_size
from training.metrics.intervals import proportion_interval
from training.recipe import AUTO, DEFAULT_IMAGE_SIZE, SIZES, Recipe

TOLERANCE = 0.01  # of accuracy, below the best
FOLDS = 3
EPOCHS = 2
MOST_PHOTOS = 600  # that take part: more would narrow the intervals little, and cost much


class SizeFigures(msgspec.Struct, frozen=True):
    """One size: how many of the photos it was right on, `ms` to answer one in PyTorch, seconds it took to measure."""

    image_size: int
    right: int
    photos: int
    ms: float
    seconds: float

    @property
    def accuracy(self) -> float:
        """The share of the photos that it was right on."""
        return self.right / self.photos

    @property
    def interval(self) -> tuple[float, float]:
        """The accuracy's 95 % interval."""
        return proportion_interval(self.right, self.photos)


class SizeChoice(msgspec.Struct, frozen=True):
    """`sizes.json`: the sizes that were compared, largest first, and the one that was chosen."""

    dataset_sha256: str
    chosen: int
    folds: int
    epochs: int
    sizes: list[SizeFigures]

    @property
    def rule(self) -> str:
        """Why this one."""
        return f"{self.chosen} px is the smallest size within {TOLERANCE * 100:g} point of the best"


def choose_size(dataset: Dataset, recipe: Recipe, sizes: Sequence[int] = SIZES) -> SizeChoice:
    """Cross-validate `recipe` at each of `sizes`, with progress. Raises DatasetError where the photos are too few."""
    short = replace(recipe, epochs=min(recipe.epochs, EPOCHS))
    compared = _training_photos(dataset)
    rounds = folds(compared, _fold_count(compared), recipe.seed)
    classes = truth(compared)
    total = len(sizes) * sum(steps(epoch_size(classes[fold.train], len(compared.labels)), short) for fold in rounds)
    figures: list[SizeFigures] = []
    try:
        with progress(f"compare {len(sizes)} input sizes", total) as advance:
            for size in sorted(sizes, reverse=True):
                noted = _noting(advance, size, figures)
                figures.append(_measure(compared, replace(short, image_size=size), rounds, noted))
    finally:
        forget_pixels(compared)
    return SizeChoice(dataset.manifest.sha256, smallest_good(figures), len(rounds), short.epochs, figures)


def smallest_good(figures: Sequence[SizeFigures]) -> int:
    """The smallest size within TOLERANCE of the best."""
    best = max(size.accuracy for size in figures)
    return min(size.image_size for size in figures if size.accuracy >= best - TOLERANCE - 1e-9)


def table(choice: SizeChoice) -> str:
    """The comparison for a terminal; the chosen size is marked."""
    head = f"{choice.folds}-fold cross-validation of {choice.sizes[0].photos} training photos, {choice.epochs} epochs"
    lines = [f"{head}; ms to answer a photo in PyTorch", "  size  accuracy  (95 % interval)       ms    took"]
    for size in choice.sizes:
        low, high = size.interval
        mark = "*" if size.image_size == choice.chosen else " "
        lines.append(
            f"{mark} {size.image_size:4}    {size.accuracy:.4f}  {low:.4f} to {high:.4f}  {size.ms:6.1f}"
            f"  {size.seconds:4.0f} s"
        )
    return "\n".join([*lines, f"* {choice.rule}"])


def write_choice(folder: Path, choice: SizeChoice | None) -> None:
    """Keep the choice beside the checkpoint; None removes that of an earlier training."""
    if choice is None:
        (folder / files.SIZES).unlink(missing_ok=True)
    else:
        (folder / files.SIZES).write_bytes(msgspec.json.format(msgspec.json.encode(choice), indent=2) + b"\n")


def read_choice(folder: Path) -> SizeChoice | None:
    """What `write_choice` kept, None where the size was given."""
    file = folder / files.SIZES
    return msgspec.json.decode(file.read_bytes(), type=SizeChoice) if file.exists() else None


def _measure(dataset: Dataset, recipe: Recipe, rounds: Sequence[Fold], advance: Advance) -> SizeFigures:
    began = time.monotonic()
    right = photos = 0
    answered_s = 0.0
    for fold in rounds:
        seeded = replace(recipe, seed=recipe.seed + fold.number)
        fitted = fit(photos_of(dataset, unvalidated(fold), recipe.image_size), seeded, advance)
        asked = time.monotonic()
        said = predict(checkpoint_of(dataset, seeded, fitted), dataset, _own(dataset, fold.held_out))
        answered_s += time.monotonic() - asked
        right += int((said.predicted == said.truth).sum())
        photos += len(said.truth)
    ms = answered_s / photos * 1000
    return SizeFigures(recipe.image_size, right, photos, round(ms, 2), round(time.monotonic() - began, 1))


def _training_photos(dataset: Dataset) -> Dataset:
    """The training photos alone; of each class evenly spaced ones where there are more than MOST_PHOTOS.

    Photos of other things come in the same share.
    """
    photos = dataset.photos("train")
    share = min(1.0, MOST_PHOTOS / max(sum(photo.label != UNKNOWN for photo in photos), 1))
    kept = [photo for label in dataset.classes for photo in _spaced([p for p in photos if p.label == label], share)]
    return replace(dataset, manifest=msgspec.structs.replace(dataset.manifest, photos=kept))


def _own(dataset: Dataset, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of the rows that are of photos of the labels."""
    own: NDArray[np.int64] = rows[truth(dataset)[rows] < len(dataset.labels)]
    return own


def _spaced(photos: Sequence[Photo], share: float) -> list[Photo]:
    count = min(len(photos), max(FOLDS, round(len(photos) * share)))
    return [photos[row] for row in np.linspace(0, len(photos) - 1, count).astype(int)]


def _fold_count(dataset: Dataset) -> int:
    """As many folds as the class with the fewest different photos allows, two to FOLDS."""
    groups = {label: {photo.group for photo in dataset.photos() if photo.label == label} for label in dataset.labels}
    fewest = min(groups, key=lambda label: len(groups[label]))
    if len(groups[fewest]) < 2:
        raise DatasetError(
            f"class {fewest!r} has {len(groups[fewest])} different photos to train on, and --image-size {AUTO} "
            "compares sizes on photos that were held back, which takes at least 2; add photos or name a size, "
            f"{DEFAULT_IMAGE_SIZE} for example"
        )
    return min(FOLDS, len(groups[fewest]))


def _noting(advance: Advance, size: int, before: Sequence[SizeFigures]) -> Advance:
    """Progress that says which size is at work, and how the last one did."""
    last = f", {before[-1].image_size} px: accuracy {before[-1].accuracy:.3f}" if before else ""

    def noted(done: int = 1, *, note: str | None = None) -> None:
        advance(done, note=f"{size} px, {note or ''}{last}")

    return noted
