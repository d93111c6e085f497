"""Recipe: what can be chosen about a training run, and its defaults, which stand here alone.

It imports nothing heavy: a DAG file and a command line read the defaults from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Precision = Literal["fp32", "bf16"]
ImageSize = int | Literal["auto"]

DEFAULT_IMAGE_SIZE = 224  # px: no photos have to be trusted to show that a smaller one is enough
BACKBONE_SIZE = 224  # px, of what models that are taught on an appliance stand on (benchmarks/NOTES.md has the sweep)
DEFAULT_EPOCHS = 5
UNKNOWN_EPOCHS = 8  # with an unknown class, which has to be told from the others as well: 5 leave it a point worse
DEFAULT_WEIGHTS = "imagenet"
DEFAULT_SEED = 42

PUBLIC_OTHER, NO_OTHER = "public", "no"  # which photos of other things are fetched; else those of a folder
DEFAULT_OTHER = PUBLIC_OTHER

# Of an epoch, and of the photos that INT8 is calibrated with: photos of other things, with two classes as with fifty.
UNKNOWN_SHARE = 1 / 3
# How likely a photo is of none of the classes before it has been seen. No data set tells what users will send. With
# this one an answer is unknown from a probability of about a half on (five folds of the public photos): more likely
# none of the classes than all of them together.
UNKNOWN_PRIOR = 1 / 5

STEP = 32  # px: the network halves its input five times
SMALLEST, LARGEST = 32, 512  # px
SIZES = (224, 192, 160, 128, 96)  # px: those that are compared
AUTO: Literal["auto"] = "auto"  # in place of a size: the one that `training.learning.size_choice` measures

SMALLEST_CROP = 80  # px a side of the training crops; the rest is in `crop_size` and `stored_size`


@dataclass(frozen=True)
class Recipe:
    """What can be chosen about a training run; `image_size` is the side of the model's square input in px."""

    image_size: int = DEFAULT_IMAGE_SIZE
    epochs: int = DEFAULT_EPOCHS
    seed: int = DEFAULT_SEED
    weights: str = DEFAULT_WEIGHTS
    precision: Precision | None = None


def epochs_for(epochs: int | None, *, unknown: bool) -> int:
    """How many epochs to train for: those that were asked for, or as many as the classes take."""
    if epochs is not None:
        return epochs
    return UNKNOWN_EPOCHS if unknown else DEFAULT_EPOCHS


def stored_size(image_size: int) -> int:
    """The side in px at which training photos are kept: crops of half their area are then enlarged only a little."""
    return round(image_size * 1.15)


def crop_size(recipe: Recipe, epoch: int) -> int:
    """The side in px of the training crops in one epoch, from 4/7 of the input to 6/7, a multiple of 16.

    Crops enlarge what they show, so the best test-time resolution is larger than that of the training crops
    (Touvron et al. 2019, https://arxiv.org/abs/1906.06423): at 6/7 an average crop shows things as large as the whole
    photo does at full size. Smaller crops are faster, so the first two fifths of the epochs have the smallest and the
    last one the largest (progressive resizing); none is smaller than 80 px, or than an input below that.
    """
    share = 5 / 7
    if recipe.epochs > 1 and epoch <= max(1, recipe.epochs * 2 // 5):
        share = 4 / 7
    elif recipe.epochs > 1 and epoch == recipe.epochs:
        share = 6 / 7
    return max(min(recipe.image_size, SMALLEST_CROP), round(recipe.image_size * share / 16) * 16)


def is_validated(epoch: int, epochs: int) -> bool:
    """Whether an epoch's figures are taken on the validation photos: the last one's, and before it every third's."""
    return (epochs - epoch) % 3 == 0
