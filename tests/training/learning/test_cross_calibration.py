"""The calibration that a cross-validation leaves for a bundle, and when it is not taken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from training.data.dataset import Dataset
from training.evaluation.evaluate import evaluate_recipe
from training.learning.cross_calibration import (
    FILE,
    CalibrationError,
    CrossCalibration,
    calibration_for,
    write_calibration,
)
from training.metrics.calibration import Calibration
from training.model.checkpoint import Checkpoint
from training.recipe import Recipe


@pytest.fixture
def checkpoint() -> Checkpoint:
    return Checkpoint(
        state_dict={},
        labels=["a", "b"],
        image_size=96,
        weights="imagenet",
        epochs=5,
        seed=42,
        precision="fp32",
        dataset_sha256="abc",
        git_commit=None,
        unknown=True,
    )


FOUND = CrossCalibration(
    dataset_sha256="abc",
    image_size=96,
    epochs=5,
    weights="imagenet",
    folds=5,
    photos=400,
    temperature=1.5,
    abstain=0.8,
    unknown=0.4,
)


def test_it_holds_for_a_network_of_the_same_photos_and_recipe(checkpoint: Checkpoint, tmp_path: Path) -> None:
    said: list[str] = []
    file = write_calibration(tmp_path, FOUND)
    assert calibration_for(checkpoint, file, precision=0.99, say=said.append) == Calibration(1.5, 0.8, 0.4)
    assert said == [f"calibrated on 400 held-out photos of 5 folds ({file})"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"dataset_sha256": "def"}, "it is of other photos"),
        ({"image_size": 128}, "it is of another recipe"),
        ({"epochs": 6}, "it is of another recipe"),
        ({"weights": "none"}, "it is of another recipe"),
        ({"unknown": False}, "it is of another recipe"),
        ({"widths": [16] * 8}, "it is of networks that were not narrowed"),
    ],
)
def test_it_is_not_taken_for_another_network(
    checkpoint: Checkpoint, tmp_path: Path, change: dict[str, object], why: str
) -> None:
    said: list[str] = []
    file = write_calibration(tmp_path, FOUND)
    other = replace(checkpoint, **change)  # type: ignore[arg-type]  # the names are its fields'
    assert calibration_for(other, file, precision=0.99, say=said.append) is None
    assert said == [f"calibrated on the validation photos, not by {file}: {why}"]


def test_it_is_not_taken_for_another_precision(checkpoint: Checkpoint, tmp_path: Path) -> None:
    said: list[str] = []
    assert calibration_for(checkpoint, write_calibration(tmp_path, FOUND), precision=0.9, say=said.append) is None
    assert "right 99% of the time, and 90% are asked for" in said[0]


def test_without_a_file_nothing_is_said(checkpoint: Checkpoint, tmp_path: Path) -> None:
    said: list[str] = []
    assert calibration_for(checkpoint, tmp_path / FILE, precision=0.99, say=said.append) is None
    assert said == []


@pytest.mark.parametrize("content", [b"", b"{}", b'{"temperature": "hot"}', b"\xff"])
def test_a_file_that_is_no_calibration_is_refused(checkpoint: Checkpoint, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / FILE
    file.write_bytes(content)
    with pytest.raises(CalibrationError, match=r"is no calibration .*remove it, or run"):
        calibration_for(checkpoint, file, precision=0.99, say=print)


def test_a_cross_validation_writes_it(dataset: Dataset, tmp_path: Path) -> None:
    recipe = Recipe(image_size=32, epochs=1, weights="none", precision="fp32")
    done = evaluate_recipe(dataset, recipe, 2, tmp_path)
    assert msgspec.json.decode((tmp_path / FILE).read_bytes(), type=CrossCalibration) == done.calibration
    assert (done.calibration.photos, done.calibration.folds) == (len(dataset.photos()), 2)
    assert done.calibration.unknown is None
