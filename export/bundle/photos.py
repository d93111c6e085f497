"""The photos that a build needs: to calibrate INT8, and to validate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import Dataset
from training.data.pixels import COPY_SEED, ValidationCopies, load_pixels, load_validation_copies, truth
from training.model.checkpoint import Checkpoint
from training.recipe import UNKNOWN_SHARE

CALIBRATION_PHOTOS = 128


@dataclass(frozen=True)
class Photos:
    """The photos of a build, at the checkpoint's size: pixels are [N, size, size, 3], truth is [N].

    `training_of` gives the pixels of one class's training photos. `copies` are altered copies of the labels' validation
    photos, which help to set the threshold of an unknown class; None where they are not needed.
    """

    calibration: NDArray[np.uint8]
    validation: NDArray[np.uint8]
    validation_paths: list[str]
    validation_truth: NDArray[np.int64]
    training_of: Callable[[int], NDArray[np.uint8]]
    copies: ValidationCopies | None


def load_photos(checkpoint: Checkpoint, dataset: Dataset, *, calibrated: bool = False) -> Photos:
    """Decode the dataset's photos for a checkpoint; of one that is `calibrated` already, without altered copies.

    Raises CheckpointError where the two do not belong together.
    """
    checkpoint.require_dataset(dataset.labels, dataset.manifest.sha256)
    pixels, classes = load_pixels(dataset, checkpoint.image_size), truth(dataset)
    train = np.array([photo.split == "train" for photo in dataset.photos()])
    validation = np.flatnonzero(~train)
    # Training photos: validation ones would flatter the INT8 figures.
    calibration = calibration_rows(np.flatnonzero(train), classes, len(dataset.labels))
    copies = None
    if checkpoint.unknown and not calibrated:
        copies = load_validation_copies(dataset, checkpoint.image_size, seed=COPY_SEED)
    return Photos(
        calibration=pixels[calibration],
        validation=pixels[validation],
        validation_paths=[dataset.photos()[index].path for index in validation],
        validation_truth=classes[validation],
        training_of=lambda index: pixels[np.flatnonzero(train & (classes == index))],
        copies=copies,
    )


def calibration_pixels(dataset: Dataset, size: int) -> NDArray[np.uint8]:
    """The photos that calibrate INT8, at `size` px a side: [N, size, size, 3]."""
    train = np.array([photo.split == "train" for photo in dataset.photos()])
    rows = calibration_rows(np.flatnonzero(train), truth(dataset), len(dataset.labels))
    return np.array(load_pixels(dataset, size)[rows])


def calibration_rows(rows: NDArray[np.int64], truth: NDArray[np.int64], labels: int) -> NDArray[np.int64]:
    """At most CALIBRATION_PHOTOS of the rows of training photos, evenly spaced: every class is met.

    Of photos of other things, whose class index in `truth` [N] is `labels`, a third.
    """
    others = rows[truth[rows] >= labels]
    most = round(CALIBRATION_PHOTOS * UNKNOWN_SHARE) if len(others) else 0
    own = spread(rows[truth[rows] < labels], CALIBRATION_PHOTOS - most)
    return np.concatenate([own, spread(others, most)])


def spread(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """At most `count` of the rows, evenly spaced: a manifest is sorted by class, so every class is met."""
    chosen: NDArray[np.int64] = rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]
    return chosen
