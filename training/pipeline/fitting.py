"""A training with all it leaves in its folder: checkpoint, history, resources, and how the input size was chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from training import files
from training.data.dataset import Dataset
from training.learning.crossvalidate import checkpoint_of, split_of, train_fold
from training.learning.fit import Fitted
from training.learning.history import write_history
from training.learning.size_choice import choose_size, table, write_choice
from training.recipe import ImageSize, Recipe
from training.tracking.resources import sampled


def fit_dataset(
    dataset: Dataset, recipe: Recipe, folder: Path, *, image_size: ImageSize, say: Callable[[str], None]
) -> Fitted:
    """Train on the dataset's training photos at `image_size`; where that is `auto`, compare sizes first.

    The comparison is said and kept. Raises DatasetError, WeightsError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with sampled(folder / files.RESOURCES):
        choice = None
        if not isinstance(image_size, int):
            choice = choose_size(dataset, recipe)
            say(table(choice))
            image_size = choice.chosen
        recipe = replace(recipe, image_size=image_size)
        fitted = train_fold(dataset, split_of(dataset), recipe, what=f"fit at {recipe.image_size} px")
    checkpoint_of(dataset, recipe, fitted).save(folder / files.CHECKPOINT)
    write_history(folder / files.HISTORY, fitted.history)
    write_choice(folder, choice)
    return fitted
