from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from training.__main__ import main
from training.data.dataset import Dataset, DatasetError
from training.evaluation.evaluate import evaluate_checkpoint
from training.files import CHECKPOINT, SIZES
from training.learning import size_choice
from training.learning.size_choice import (
    SizeChoice,
    SizeFigures,
    choose_size,
    read_choice,
    smallest_good,
    table,
    write_choice,
)
from training.model.checkpoint import Checkpoint
from training.pipeline.fitting import fit_dataset
from training.recipe import Recipe


def figures(size: int, right: int, photos: int = 1000) -> SizeFigures:
    return SizeFigures(size, right, photos, 1.0, 2.0)


@pytest.mark.parametrize(
    ("right", "chosen"),
    [
        ({224: 970, 160: 965, 96: 955}, 160),
        ({224: 970, 160: 960, 96: 959}, 160),
        ({224: 960, 160: 960, 96: 970}, 96),
        ({224: 970, 160: 959, 96: 900}, 224),
    ],
)
def test_the_smallest_size_within_a_point_of_the_best_is_chosen(right: dict[int, int], chosen: int) -> None:
    assert smallest_good([figures(*size) for size in right.items()]) == chosen


def test_the_table_marks_the_chosen_size_and_gives_intervals() -> None:
    text = table(SizeChoice("0" * 64, 160, 3, 2, [figures(224, 970), figures(160, 965)]))
    assert "*  160    0.9650  0.9517 to 0.9747" in text
    assert text.endswith("* 160 px is the smallest size within 1 point of the best")


def test_only_training_photos_are_compared_on_and_each_once(dataset: Dataset, recipe: Recipe) -> None:
    choice = choose_size(dataset, replace(recipe, epochs=1), sizes=(64, 32))
    assert [size.image_size for size in choice.sizes] == [64, 32]
    assert {size.photos for size in choice.sizes} == {len(dataset.photos("train"))}
    assert all(size.ms > 0 and 0 <= size.right <= size.photos for size in choice.sizes)
    assert choice.chosen == smallest_good(choice.sizes)
    assert {photo.split for photo in size_choice._training_photos(dataset).photos()} == {"train"}
    names = {file.name.split("-")[0] for file in (dataset.path / ".pixels").iterdir()}
    assert names <= {dataset.manifest.sha256[:16]}, "what was decoded for the comparison is gone"


def test_of_many_photos_each_class_gives_its_share(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(size_choice, "MOST_PHOTOS", 10)
    labels = [photo.label for photo in size_choice._training_photos(dataset).photos()]
    assert [labels.count(label) for label in dataset.labels] == [5, 5]


@pytest.mark.parametrize(("each", "folds"), [(2, 2), (3, 3), (16, 3)])
def test_a_class_of_two_photos_is_enough(dataset: Dataset, each: int, folds: int) -> None:
    assert size_choice._fold_count(with_photos(dataset, each)) == folds


@pytest.mark.parametrize("each", [0, 1])
def test_a_class_with_fewer_is_refused_by_name(dataset: Dataset, each: int) -> None:
    with pytest.raises(DatasetError, match=f"class 'dandelion' has {each} different photos to train on.*name a size"):
        choose_size(with_photos(dataset, each), Recipe())


def with_photos(dataset: Dataset, each: int) -> Dataset:
    """As many training photos of each class."""
    by_label = [[photo for photo in dataset.photos("train") if photo.label == label] for label in dataset.labels]
    photos = [photo for of_one in by_label for photo in of_one[:each]]
    return replace(dataset, manifest=msgspec.structs.replace(dataset.manifest, photos=photos))


def test_fit_at_an_automatic_size_keeps_its_table_and_reports_it(
    dataset: Dataset, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choice = SizeChoice(dataset.manifest.sha256, 32, 3, 2, [figures(64, 900), figures(32, 900)])
    monkeypatch.setattr("training.pipeline.fitting.choose_size", lambda *_: choice)
    said: list[str] = []
    fit_dataset(dataset, replace(recipe, epochs=1), tmp_path, image_size="auto", say=said.append)
    assert said == [table(choice)]
    assert Checkpoint.load(tmp_path / CHECKPOINT).image_size == 32
    assert read_choice(tmp_path) == choice
    _, _, report = evaluate_checkpoint(tmp_path / CHECKPOINT, dataset, tmp_path / "report")
    html = report.read_text(encoding="utf-8")
    assert "32 px <b>chosen</b>" in html
    assert choice.rule in html
    assert "1; the last epoch is kept" in html


def test_a_given_size_forgets_how_an_earlier_one_was_chosen(tmp_path: Path) -> None:
    write_choice(tmp_path, SizeChoice("0" * 64, 32, 3, 2, [figures(32, 900)]))
    write_choice(tmp_path, None)
    assert not (tmp_path / SIZES).exists()
    assert read_choice(tmp_path) is None


def test_auto_is_taken_from_the_environment_and_folds_ask_for_a_size(dataset: Dataset, tmp_path: Path) -> None:
    command = ["evaluate", "--data", str(dataset.path), "--folds", "2", "--out", str(tmp_path)]
    done = CliRunner().invoke(main, command, env={"IMAGE_SIZE": "auto"})
    assert done.exit_code == 2
    assert "auto is for `fit`, which says what it chose; name that size here" in " ".join(done.output.split())
