from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.photos import write_photos
from tests.s3 import S3Server, s3_server
from training.checkpoint import Checkpoint
from training.crossvalidate import checkpoint_of, split_of, train_fold
from training.dataset import Dataset
from training.fit import Recipe
from training.history import best_epoch, write_history
from training.prepare import prepare


@pytest.fixture(scope="session", autouse=True)
def patient_clients() -> None:
    """Give httpx a minute where a test names no time: on a busy machine its own 5 s are no sign of a fault.

    There is no setting for it, but all its functions and clients share one default.
    """
    default: httpx.Timeout = httpx.get.__kwdefaults__["timeout"]
    default.connect = default.read = default.write = default.pool = 60


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Drawn photos, 20 of each class, prepared."""
    folder = tmp_path_factory.mktemp("dataset")
    prepare(write_photos(folder / "raw", 20), folder / "processed")
    return Dataset.open(folder / "processed")


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    return Recipe(image_size=64, epochs=3, seed=1, weights="none", precision="fp32")


@pytest.fixture(scope="session")
def checkpoint_file(dataset: Dataset, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ResNet18 trained on them from scratch, which takes seconds, with its history beside it."""
    file = tmp_path_factory.mktemp("training") / "best_model.pt"
    fitted = train_fold(dataset, split_of(dataset), recipe, what="fit")
    checkpoint_of(dataset, recipe, fitted, fitted.best, epoch=best_epoch(fitted.history)).save(file)
    write_history(file.with_name("history.json"), fitted.history)
    return file


@pytest.fixture
def checkpoint(checkpoint_file: Path) -> Checkpoint:
    return Checkpoint.load(checkpoint_file)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server for all tests; each makes a bucket of its own."""
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def mortal_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A server of its own, to be killed."""
    with s3_server(tmp_path_factory.mktemp("mortal")) as server:
        yield server
