"""Fixtures: a prepared dataset of drawn photos, and a network that was trained on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.photos import write_others, write_photos

if TYPE_CHECKING:
    from training.data.dataset import Dataset
    from training.model.checkpoint import Checkpoint
    from training.recipe import Recipe


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Drawn photos, 20 of each class, prepared."""
    from training.data.dataset import Dataset
    from training.data.prepare import prepare

    folder = tmp_path_factory.mktemp("dataset")
    prepare(write_photos(folder / "raw", 20), folder / "processed")
    return Dataset.open(folder / "processed")


@pytest.fixture(scope="session")
def dataset_with_others(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Drawn photos, 20 of each class and of each of two kinds of other things, prepared."""
    from training.data.dataset import Dataset
    from training.data.prepare import prepare

    folder = tmp_path_factory.mktemp("dataset")
    prepare(write_others(write_photos(folder / "raw", 20), 20), folder / "processed")
    return Dataset.open(folder / "processed")


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    from training.recipe import Recipe

    return Recipe(image_size=64, epochs=3, seed=1, weights="none", precision="fp32")


@pytest.fixture(scope="session")
def checkpoint_file(dataset: Dataset, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ResNet18 trained on them from scratch, which takes seconds, with its history beside it."""
    from training.learning.crossvalidate import checkpoint_of, split_of, train_fold
    from training.learning.history import write_history

    file = tmp_path_factory.mktemp("training") / "model.pt"
    fitted = train_fold(dataset, split_of(dataset), recipe, what="fit")
    checkpoint_of(dataset, recipe, fitted).save(file)
    write_history(file.with_name("history.json"), fitted.history)
    return file


@pytest.fixture(scope="session")
def unknown_checkpoint_file(
    dataset_with_others: Dataset, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """As `checkpoint_file`, of a network that has learned an unknown class, too."""
    from training.learning.crossvalidate import checkpoint_of, split_of, train_fold
    from training.learning.history import write_history

    file = tmp_path_factory.mktemp("training") / "model.pt"
    fitted = train_fold(dataset_with_others, split_of(dataset_with_others), recipe, what="fit")
    checkpoint_of(dataset_with_others, recipe, fitted).save(file)
    write_history(file.with_name("history.json"), fitted.history)
    return file


@pytest.fixture
def checkpoint(checkpoint_file: Path) -> Checkpoint:
    from training.model.checkpoint import Checkpoint

    return Checkpoint.load(checkpoint_file)
