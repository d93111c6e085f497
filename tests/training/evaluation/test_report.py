from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from runtime.inference.scores import calibration_error, mean_over_classes
from tests.support.photos import photo
from training.data.altered_copies import ALTERATIONS
from training.data.dataset import Dataset
from training.data.pixels import truth
from training.data.prepare import prepare
from training.evaluation.evaluate import evaluate_checkpoint, evaluate_recipe
from training.evaluation.report import evaluate, write_report
from training.learning.crossvalidate import held_out_logits, split_of
from training.metrics.calibration import Calibration, calibrate, scaled
from training.metrics.intervals import (
    bootstrap_interval,
    exact_interval,
    mean_interval,
    paired_interval,
    proportion_interval,
)
from training.metrics.scores import Predictions, pooled, score
from training.model.checkpoint import Checkpoint, CheckpointError
from training.recipe import Recipe


def predictions(
    truth: list[int], said: list[int], sure: float = 0.8, labels: tuple[str, ...] = ("a", "b")
) -> Predictions:
    probabilities = np.full((len(truth), len(labels)), (1 - sure) / (len(labels) - 1), np.float32)
    probabilities[np.arange(len(said)), said] = sure
    return Predictions(labels, [f"{labels[t]}/{i}.jpg" for i, t in enumerate(truth)], np.array(truth), probabilities)


def test_scores_of_a_small_case_by_hand() -> None:
    scores = score(predictions([0, 0, 0, 1], [0, 0, 1, 1]))
    assert scores.accuracy == 0.75
    assert scores.precision == pytest.approx((1.0 + 0.5) / 2)
    assert scores.recall == pytest.approx((2 / 3 + 1.0) / 2)
    assert scores.f1 == pytest.approx((0.8 + 2 / 3) / 2)
    assert scores.log_loss == pytest.approx(-(3 * np.log(0.8) + np.log(0.2)) / 4, rel=1e-5)
    assert scores.calibration_error == pytest.approx(0.05, abs=1e-6)


def test_calibration_error_is_zero_where_confidence_is_earned() -> None:
    said = predictions([0] * 10, [0] * 8 + [1] * 2)
    assert calibration_error(said.confidence, said.predicted == said.truth) == pytest.approx(0, abs=1e-6)


def test_wilson_intervals_of_known_cases() -> None:
    assert proportion_interval(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-3)
    assert proportion_interval(50, 100) == pytest.approx((0.4038, 0.5962), abs=1e-3)


def test_exact_paired_and_mean_intervals_of_known_cases() -> None:
    assert exact_interval(79, 80) == pytest.approx((0.9323, 0.9997), abs=1e-4)
    assert paired_interval(0, 0, 100)[0] == -paired_interval(0, 0, 100)[1]
    assert paired_interval(10, 2, 100) == pytest.approx((0.0108, 0.1460), abs=1e-4)
    assert mean_interval([(10, 10)]) == pytest.approx(proportion_interval(10, 10), abs=1e-9)
    assert mean_interval([(20, 20), (1, 1)]) == pytest.approx((0.595, 1.0), abs=1e-3)


def test_bootstrap_intervals_contain_the_figure_and_repeat() -> None:
    case = predictions([0] * 30 + [1] * 30, [0] * 27 + [1] * 33)

    def accuracy(truth: object, said: object) -> float:
        return float(np.mean(np.equal(truth, said)))  # type: ignore[call-overload]

    low, high = bootstrap_interval(case, accuracy)
    assert low < 0.95 < high
    assert bootstrap_interval(case, accuracy) == (low, high)


@pytest.mark.parametrize("classes", [2, 3, 9])
def test_means_over_classes_are_scikit_learns_also_where_a_class_is_absent(classes: int) -> None:
    generator = np.random.default_rng(classes)
    for photos in (1, 4, 20, 200):
        truth, said = generator.integers(0, classes, (2, photos))
        *expected, _ = precision_recall_fscore_support(
            truth, said, labels=range(classes), average="macro", zero_division=0
        )
        assert mean_over_classes(truth, said, classes) == pytest.approx(expected)


@pytest.mark.parametrize(
    "case",
    [
        predictions([0, 1, 0, 1], [0, 1, 0, 1]),
        predictions([0, 1, 0, 1], [1, 0, 1, 0]),
        predictions([0, 0, 1, 1], [0, 0, 0, 0]),
        predictions([0, 1, 2, 2, 1], [0, 1, 2, 1, 1], labels=("a", "b", "c")),
    ],
)
def test_a_report_stands_by_itself_whatever_the_outcome(case: Predictions, tmp_path: Path) -> None:
    report = write_report(
        tmp_path,
        title="T",
        predictions=case,
        photo_bytes=lambda path: photo(),
        facts={"Seed": "1"},
        history=None,
        folds=None,
    )
    html = report.read_text()
    assert not re.search(r"(?:src|href)=[\"'](?!data:)", html)
    wrong = int((case.predicted != case.truth).sum())
    assert html.count('class="shot mistake"') == wrong
    assert ("None: every photo was named right" in html) == (wrong == 0)
    figures = json.loads((tmp_path / "metrics.json").read_text())
    assert figures["photos"] == len(case.truth)
    assert figures["accuracy"]["low"] <= figures["accuracy"]["value"] <= figures["accuracy"]["high"]
    assert sum(map(sum, figures["confusion"])) == len(case.truth)
    assert {"confusion.png", "reliability.png", "roc_pr.png"} <= {file.name for file in tmp_path.iterdir()}


def test_names_from_the_dataset_cannot_break_the_page_and_broken_photos_are_said_to_be(tmp_path: Path) -> None:
    case = predictions([0, 1], [1, 0], labels=("<b>bold</b>", "b"))
    write_report(
        tmp_path, title="T", predictions=case, photo_bytes=lambda path: b"broken", facts={}, history=None, folds=None
    )
    html = (tmp_path / "report.html").read_text()
    assert "<b>bold</b>" not in html
    assert "&lt;b&gt;bold" in html
    assert html.count("cannot be shown") == 2


def test_mistakes_come_with_the_most_confident_first(tmp_path: Path) -> None:
    case = pooled([predictions([0], [1], sure=0.6), predictions([0], [1], sure=0.9)])
    write_report(
        tmp_path, title="T", predictions=case, photo_bytes=lambda path: photo(), facts={}, history=None, folds=None
    )
    html = (tmp_path / "report.html").read_text()
    assert html.index("90 % sure") < html.index("60 % sure")


def test_a_class_that_is_never_predicted_has_figures_all_the_same() -> None:
    absent = evaluate(predictions([0, 0, 1], [0, 0, 0])).classes[1]
    assert (absent.precision.value, absent.recall.value, absent.f1.value) == (0, 0, 0)
    assert absent.precision.high == 1


def test_a_checkpoint_is_reported_on_its_validation_photos(
    dataset: Dataset, checkpoint_file: Path, tmp_path: Path
) -> None:
    found, _, report = evaluate_checkpoint(checkpoint_file, dataset, tmp_path)
    assert len(found.truth) == len(split_of(dataset).held_out)
    assert (tmp_path / "curves.png").exists()
    assert "Validation report" in report.read_text()


def test_the_report_shows_what_is_served(dataset: Dataset, checkpoint_file: Path, tmp_path: Path) -> None:
    found, _, report = evaluate_checkpoint(checkpoint_file, dataset, tmp_path)
    rows = split_of(dataset).held_out
    logits = held_out_logits(Checkpoint.load(checkpoint_file), dataset, rows)
    calibration = calibrate(logits, truth(dataset)[rows])
    assert np.allclose(found.probabilities, scaled(logits, calibration.temperature))
    figures = json.loads((tmp_path / "metrics.json").read_text())
    assert figures["served"]["temperature"] == calibration.temperature
    assert figures["served"]["threshold"] == calibration.threshold
    assert figures["confidence"] == pytest.approx(float(found.confidence.mean()))
    assert "calibrated by a temperature of" in report.read_text()


def test_answers_below_the_threshold_are_marked_in_the_report(tmp_path: Path) -> None:
    case = pooled([predictions([0], [1], sure=0.6), predictions([0], [1], sure=0.9)])
    report = write_report(
        tmp_path,
        title="T",
        predictions=case,
        photo_bytes=lambda path: photo(),
        facts={},
        history=None,
        folds=None,
        calibration=Calibration(1.0, 0.8),
    )
    assert report.read_text().count('class="unsure"') == 1
    served = json.loads((tmp_path / "metrics.json").read_text())["served"]
    assert (served["answered"], served["answered_precision"]) == (0.5, 0)


def test_the_error_over_bins_of_equal_mass_is_reported_where_there_are_photos_enough() -> None:
    assert evaluate(predictions([0, 1] * 249, [0, 1] * 249)).equal_mass_error is None
    assert evaluate(predictions([0, 1] * 250, [0, 1] * 250)).equal_mass_error == pytest.approx(0.2, abs=1e-6)


def test_a_checkpoint_of_another_dataset_is_refused(checkpoint_file: Path, dataset: Dataset, tmp_path: Path) -> None:
    other = prepare(dataset.path.parent / "raw", tmp_path / "other", seed=9)
    assert other.sha256 != dataset.manifest.sha256
    with pytest.raises(CheckpointError, match=r"was trained on dataset .*name the right one with --data"):
        evaluate_checkpoint(checkpoint_file, Dataset.open(tmp_path / "other"), tmp_path)


def test_cross_validation_predicts_every_photo_once(dataset: Dataset, tmp_path: Path) -> None:
    recipe = Recipe(image_size=32, epochs=1, weights="none", precision="fp32")
    done = evaluate_recipe(dataset, recipe, 2, tmp_path)
    parts, copies, report = done.parts, done.republished, done.report
    assert sorted(path for part in parts for path in part.paths) == [item.path for item in dataset.photos()]
    assert "2-fold cross-validation" in report.read_text()
    figures = json.loads((tmp_path / "metrics.json").read_text())
    assert len(figures["folds"]) == 2
    assert [kind["kind"] for kind in figures["republished"]["kinds"]] == list(ALTERATIONS)
    assert figures["republished"]["accuracy"] == copies.accuracy
    assert "As others publish them" in report.read_text()
    assert done.certain.copies is not None
    assert 0 <= done.certain.copies.answered.value <= 1
    assert "Answered with certainty" in report.read_text()
    assert (tmp_path / "coverage.png").exists()
