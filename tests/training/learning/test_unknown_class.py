"""The unknown class: learned from photos of other things, and what it does to answers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import training.learning.fit
from runtime.names import UNKNOWN
from training.__main__ import main
from training.data.altered_copies import ALTERATIONS
from training.data.dataset import Dataset, DatasetError
from training.data.other.kinds import kind_of
from training.evaluation.evaluate import evaluate_checkpoint, evaluate_recipe
from training.evaluation.figured import share_of_copies
from training.learning.crossvalidate import Fold, cross_validate, photos_of, split_of, without_kinds
from training.learning.fit import TrainingPhotos, fit
from training.learning.history import read_history
from training.learning.imbalance import balanced_cross_entropy, class_shares
from training.learning.pruning import narrow
from training.learning.sampling import epoch_counts, epoch_rows, epoch_size
from training.learning.size_choice import choose_size
from training.metrics.calibration import (
    AlteredOutputs,
    Thresholds,
    calibrate,
    fit_temperature,
    nested_thresholds,
    scaled,
    thresholds_for,
)
from training.metrics.priors import class_priors, photo_weights
from training.metrics.scores import Predictions, predictions_from, score
from training.metrics.unknown import answers, same_answers, unknown_auroc
from training.model.checkpoint import Checkpoint
from training.recipe import UNKNOWN_PRIOR, UNKNOWN_SHARE, Recipe

QUICK = Recipe(image_size=32, epochs=1, weights="none", precision="fp32")


def outputs(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, np.float32)


def said(truth: list[int], *rows: tuple[float, ...]) -> Predictions:
    """Of two labels and the unknown class."""
    return predictions_from(["a", "b"], [f"{k}" for k in range(len(truth))], np.array(truth), outputs(*rows))


@pytest.mark.parametrize("labels", [2, 50])
def test_the_unknown_class_has_the_same_prior_beside_any_number_of_labels(labels: int) -> None:
    priors = class_priors(labels, unknown=True)
    assert priors[-1] == UNKNOWN_PRIOR
    assert priors.sum() == pytest.approx(1)
    assert np.ptp(priors[:-1]) == 0
    assert class_priors(labels, unknown=False).tolist() == [1 / labels] * labels


def test_photos_of_other_things_count_as_their_prior_says() -> None:
    truth = np.array([0, 1, 0, 1, 2, 2, 2, 2, 2])
    weights = photo_weights(truth, 2)
    assert weights is not None
    assert weights[truth == 2].sum() / weights.sum() == pytest.approx(UNKNOWN_PRIOR)
    assert photo_weights(truth[:4], 2) is None


def test_an_epoch_shows_all_own_photos_and_other_ones_in_turn() -> None:
    truth = np.array([0, 1] * 10 + [2] * 100)
    generator = torch.Generator().manual_seed(1)
    drawn = [epoch_rows(truth, 2, generator).numpy() for _ in range(12)]
    assert {len(rows) for rows in drawn} == {epoch_size(truth, 2)} == {30}
    for rows in drawn:
        assert sorted(rows[truth[rows] < 2]) == list(range(20))
        assert len(set(rows.tolist())) == 30
    assert len({row for rows in drawn for row in rows.tolist()}) > 80
    assert epoch_counts(truth, 2, 3).tolist() == [10, 10, 10]


def test_without_other_photos_an_epoch_is_drawn_as_ever() -> None:
    truth = np.array([0, 1] * 10)
    drawn = epoch_rows(truth, 2, torch.Generator().manual_seed(7))
    assert torch.equal(drawn, torch.randperm(20, generator=torch.Generator().manual_seed(7)))
    assert epoch_size(truth, 2) == 20


def test_few_other_photos_are_all_shown() -> None:
    truth = np.array([0, 1] * 50 + [2] * 20)
    assert epoch_counts(truth, 2, 3).tolist() == [50, 50, 20]


def test_the_loss_asks_for_logits_that_hold_for_the_priors() -> None:
    """Photos that say nothing must get the priors, however often each class is shown."""
    shares = class_shares(np.array([0] * 10 + [1] * 10 + [2] * 4), 3, labels=2)
    priors = torch.tensor([0.25, 0.25, 0.5])
    logits = torch.zeros(1, 3, requires_grad=True)
    optimiser = torch.optim.LBFGS([logits], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        each = [balanced_cross_entropy(logits, torch.tensor([k]), shares, 0.05, priors=priors) for k in range(3)]
        total = sum(one * share for one, share in zip(each, shares, strict=True))
        total.backward()
        return total

    optimiser.step(loss)
    assert torch.allclose(torch.softmax(logits, dim=1), priors, atol=1e-3)


def test_what_is_learned_for_one_prior_is_handed_on_for_the_expected_one(
    dataset_with_others: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = photos_of(dataset_with_others, split_of(dataset_with_others), 32)
    expected = fit(photos, QUICK, lambda *_, **__: None).state
    monkeypatch.setattr(training.learning.fit, "UNKNOWN_PRIOR", UNKNOWN_SHARE)
    learned = fit(photos, QUICK, lambda *_, **__: None).state
    moved = expected["fc.bias"] - learned["fc.bias"]
    odds, learned_odds = UNKNOWN_PRIOR / (1 - UNKNOWN_PRIOR), UNKNOWN_SHARE / (1 - UNKNOWN_SHARE)
    assert float(moved[2] - moved[0]) == pytest.approx(np.log(odds / learned_odds), abs=1e-5)
    assert float(moved[0]) == pytest.approx(float(moved[1]), abs=1e-6)
    assert torch.equal(expected["fc.weight"], learned["fc.weight"])


def test_probabilities_are_told_apart_in_what_is_said_of_the_labels_and_of_unknown() -> None:
    found = said([0, 2], (0.6, 0.2, 0.2), (0.1, 0.0, 0.9))
    assert found.probabilities[0] == pytest.approx([0.75, 0.25])
    assert found.joint == pytest.approx(outputs((0.6, 0.2), (0.1, 0.0)), abs=1e-6)
    assert found.own.truth.tolist() == [0]
    assert found.others.paths == ["1"]
    assert score(found.own).accuracy == 1


def test_a_photo_that_is_unknown_for_certain_has_no_label_that_is_more_probable() -> None:
    assert said([2], (0.0, 0.0, 1.0)).probabilities[0] == pytest.approx([0.5, 0.5])


def test_answers_are_those_of_the_appliance() -> None:
    rows = (0.6, 0.2, 0.2), (0.4, 0.3, 0.3), (0.3, 0.2, 0.5), (0.9, 0.0, 0.1)
    found = answers(said([0, 0, 0, 1], *rows), Thresholds(abstain=0.5, unknown=0.5))
    assert found.unknown.tolist() == [False, False, True, False]
    assert found.certain.tolist() == [True, False, False, True]
    assert found.right.tolist() == [True, True, True, False]


def test_two_models_agree_on_none_whatever_label_comes_next() -> None:
    one, other = said([2, 0], (0.3, 0.1, 0.6), (0.9, 0.1, 0)), said([2, 0], (0.1, 0.3, 0.6), (0.4, 0.3, 0.3))
    assert same_answers(one, other, Thresholds(0.0, 0.5)).tolist() == [True, True]
    assert same_answers(one, other, Thresholds(0.0, 0.2)).tolist() == [True, False]


def test_the_area_under_the_curve_is_that_of_other_things_against_own_photos() -> None:
    assert unknown_auroc(said([0, 1, 2], (0.9, 0, 0.1), (0, 0.8, 0.2), (0.1, 0, 0.9))) == 1
    assert unknown_auroc(said([0, 2], (0.1, 0, 0.9), (0.9, 0, 0.1))) == 0
    assert unknown_auroc(said([0, 1], (0.1, 0, 0.9), (0.9, 0, 0.1))) is None


def test_copies_of_own_photos_raise_the_threshold_and_other_things_do_not() -> None:
    plain = outputs(*[(0.98, 0.01, 0.01)] * 20, *[(0.1, 0.1, 0.8)] * 20)
    truth = np.array([0] * 20 + [2] * 20)
    alone = thresholds_for(plain, truth, 2)
    assert alone.unknown == pytest.approx(0.0101, abs=1e-3)
    with_copies = thresholds_for(
        plain, truth, 2, copies=AlteredOutputs([outputs(*[(0.7, 0.0, 0.3)] * 20)], np.zeros(20, np.int64))
    )
    assert with_copies.unknown is not None
    assert with_copies.unknown > 0.3


def test_the_abstention_threshold_is_for_what_is_not_unknown() -> None:
    """A wrong answer that is called unknown asks for no more confidence of the others."""
    rows = [(0.9, 0.09, 0.01)] * 96 + [(0.05, 0.93, 0.02)] * 4
    found = thresholds_for(outputs(*rows), np.zeros(100, np.int64), 2)
    assert found.unknown is not None
    assert 0.01 <= found.unknown <= 0.02
    assert found.abstain == pytest.approx(0.9, abs=1e-3)


def test_without_an_unknown_class_thresholds_are_as_ever() -> None:
    generator = np.random.default_rng(4)
    logits = generator.normal(0, 3, (200, 2)).astype(np.float32)
    truth = np.where(generator.uniform(size=200) < 0.9, logits.argmax(axis=1), 1 - logits.argmax(axis=1))
    assert calibrate(logits, truth, 2) == calibrate(logits, truth)
    assert calibrate(logits, truth).unknown_threshold is None
    assert fit_temperature(logits, truth, np.ones(200)) == fit_temperature(logits, truth)


def test_a_folds_own_photos_do_not_set_its_threshold() -> None:
    easy, hard = outputs(*[(5.0, 0.0, -5.0)] * 30), outputs(*[(5.0, 0.0, 5.0)] * 30)
    truth = [np.zeros(30, np.int64)] * 2
    first, second = nested_thresholds([hard, easy], [{}, {}], truth, 2, [1.0, 1.0])
    assert first.unknown is not None
    assert second.unknown is not None
    assert first.unknown < 0.01
    assert second.unknown > 0.4


def test_photos_are_resampled_with_all_their_copies() -> None:
    once = share_of_copies(np.array([1, 0] * 50), np.ones(100, np.int64))
    copied = share_of_copies(np.array([6, 0] * 50), np.full(100, 6))
    assert once.value == copied.value == 0.5
    assert copied.high - copied.low == pytest.approx(once.high - once.low, abs=0.02)
    never = share_of_copies(np.zeros(100, np.int64), np.full(100, 6))
    assert never.low == 0
    assert 0.03 < never.high < 0.05


def test_a_network_learns_to_tell_other_things_from_its_labels(
    dataset_with_others: Dataset, unknown_checkpoint_file: Path
) -> None:
    checkpoint = Checkpoint.load(unknown_checkpoint_file)
    assert (checkpoint.labels, checkpoint.unknown, checkpoint.classes) == (["dandelion", "grass"], True, 3)
    last = read_history(unknown_checkpoint_file.with_name("history.json")).epochs[-1]
    assert last.validation_unknown_auroc is not None
    assert last.validation_unknown_auroc > 0.9
    assert "other things told apart" in str(last)
    photos = photos_of(dataset_with_others, split_of(dataset_with_others), 32)
    assert (photos.classes, len(photos.train), photos.epoch_size) == (3, 64, 48)


def test_a_pretrained_network_is_probed_with_the_unknown_class(dataset_with_others: Dataset, tmp_path: Path) -> None:
    from training.learning.fit import fit
    from training.model.network import build

    torch.save(build(5).state_dict(), tmp_path / "weights.pt")
    photos = photos_of(dataset_with_others, split_of(dataset_with_others), 32)
    recipe = replace(QUICK, weights=str(tmp_path / "weights.pt"))
    fitted = fit(photos, recipe, lambda *_, **__: None)
    assert fitted.state["fc.weight"].shape == (3, 512)


def test_a_narrow_network_keeps_the_unknown_class(dataset_with_others: Dataset, unknown_checkpoint_file: Path) -> None:
    wide = Checkpoint.load(unknown_checkpoint_file)
    photos = photos_of(dataset_with_others, split_of(dataset_with_others), wide.image_size)
    narrowed = narrow(wide, photos, share=0.5, epochs=1)
    assert narrowed.checkpoint.classes == 3
    own = int((photos.validation_truth < 2).sum())
    assert narrowed.accuracy * own == pytest.approx(round(narrowed.accuracy * own))


def test_sizes_are_compared_by_photos_of_the_labels(dataset_with_others: Dataset) -> None:
    choice = choose_size(dataset_with_others, QUICK, sizes=(32,))
    assert choice.sizes[0].photos == sum(one.label != UNKNOWN for one in dataset_with_others.photos("train"))


def test_a_kind_that_is_kept_out_is_not_trained_on(dataset_with_others: Dataset, tmp_path: Path) -> None:
    fold = split_of(dataset_with_others)
    photos = dataset_with_others.photos()
    kept = without_kinds(dataset_with_others, fold, ["rings"])
    assert {kind_of(photos[row].path) for row in fold.train} - {kind_of(photos[row].path) for row in kept.train} == {
        "rings"
    }
    assert np.array_equal(kept.held_out, fold.held_out)
    for keep_out in ((), ("rings",)):
        list(cross_validate(dataset_with_others, QUICK, 2, cache=tmp_path, keep_out=keep_out))
    assert len(list(tmp_path.iterdir())) == 4


def test_a_checkpoint_is_evaluated_on_both_sides(
    dataset_with_others: Dataset, unknown_checkpoint_file: Path, tmp_path: Path
) -> None:
    found, unknown, report = evaluate_checkpoint(unknown_checkpoint_file, dataset_with_others, tmp_path)
    assert len(found.truth) == 8
    assert unknown is not None
    assert (unknown.own_photos, unknown.other_photos) == (8, 8)
    figures = json.loads((tmp_path / "metrics.json").read_text())
    assert figures["photos"] == 8
    assert figures["unknown"]["threshold"] == unknown.threshold
    assert [kind["kind"] for kind in figures["unknown"]["as_they_are"]["kinds"]] == ["boxes", "rings"]
    assert "None of these" in report.read_text()
    assert (tmp_path / "unknown.png").exists()


def test_cross_validation_reports_the_unknown_class_and_kinds_kept_out(
    dataset_with_others: Dataset, tmp_path: Path
) -> None:
    done = evaluate_recipe(dataset_with_others, QUICK, 2, tmp_path, keep_out=[["rings"]])
    parts, copies, unknown, report = done.parts, done.republished, done.unknown, done.report
    own = [one.path for one in dataset_with_others.photos() if one.label != UNKNOWN]
    assert sorted(path for part in parts for path in part.paths) == own
    assert len(copies.kinds) == len(ALTERATIONS)
    assert unknown is not None
    assert unknown.copies is not None
    assert (unknown.own_photos, unknown.other_photos) == (40, 40)
    (kept,) = unknown.kept_out
    assert (kept.kinds, kept.photos) == (["rings"], 20)
    assert "not trained on: rings (20)" in report.read_text()
    assert done.calibration.unknown is not None


@pytest.mark.parametrize(
    ("kinds", "reason"),
    [
        (["roses"], r"no kind of other things is called roses; it has boxes, rings"),
        (["boxes", "rings"], "there are no other things"),
    ],
)
def test_kinds_that_cannot_be_kept_out_are_named(
    dataset_with_others: Dataset, tmp_path: Path, kinds: list[str], reason: str
) -> None:
    with pytest.raises(DatasetError, match=reason):
        evaluate_recipe(dataset_with_others, QUICK, 2, tmp_path, keep_out=[kinds])


def test_without_other_photos_no_kind_can_be_kept_out(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="it has none; `python -m training fetch --other public` brings some"):
        evaluate_recipe(dataset, QUICK, 2, tmp_path, keep_out=[["rings"]])


def test_the_command_says_what_the_unknown_class_costs(
    dataset_with_others: Dataset, unknown_checkpoint_file: Path, tmp_path: Path
) -> None:
    data = ["--data", str(dataset_with_others.path), "--out", str(tmp_path)]
    done = CliRunner().invoke(main, ["evaluate", "--checkpoint", str(unknown_checkpoint_file), *data])
    assert done.exit_code == 0, done.output
    assert "own photos called unknown" in done.output
    assert "answered with certainty of other things" in done.output
    refused = CliRunner().invoke(main, ["evaluate", "--keep-out", "rings", *data])
    assert refused.exit_code == 2
    assert "give --folds, too" in refused.output


def test_a_dataset_without_other_photos_is_trained_as_ever(dataset: Dataset) -> None:
    photos = photos_of(dataset, split_of(dataset), 32)
    assert (photos.classes, photos.priors, photos.epoch_size) == (2, None, len(photos.train))
    assert isinstance(photos, TrainingPhotos)
    fold = Fold(0, np.arange(4), np.arange(4, 8))
    assert np.array_equal(without_kinds(dataset, fold, ["rings"]).train, fold.train)
    assert scaled(np.zeros((1, 2), np.float32), 1.0).shape == (1, 2)
