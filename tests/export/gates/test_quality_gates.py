from __future__ import annotations

import numpy as np
import pytest

from export.gates.class_gates import Counts, balanced_accuracy, worst_recall
from export.gates.quality_gates import PUBLIC_ACCURACY, GateError, Limits, measure, require
from runtime.bundle.manifest import Gate
from training.metrics.guessing import against_guessing
from training.metrics.scores import Predictions


def said(truth: list[int], predicted: list[int], classes: int = 2) -> Predictions:
    probabilities = np.eye(classes, dtype=np.float32)[predicted]
    return Predictions([f"class{k}" for k in range(classes)], [""] * len(truth), np.array(truth), probabilities)


TRUTH = [0, 1] * 100


def flipped(count: int) -> Predictions:
    """Of the 200 photos the first `count` named wrong."""
    return said(TRUTH, [1 - label for label in TRUTH[:count]] + TRUTH[count:])


def by_counts(*counts: Counts) -> Predictions:
    """Of each class so many photos right, of so many; the wrong ones are given to the next class."""
    truth = [k for k, (_, photos) in enumerate(counts) for _ in range(photos)]
    other = [(k + 1) % len(counts) for k in range(len(counts))]
    predicted = [k if row < right else other[k] for k, (right, photos) in enumerate(counts) for row in range(photos)]
    return said(truth, predicted, len(counts))


def never(_: int) -> Counts:
    raise AssertionError("training photos are looked at only where there are few of a class to validate")


def gates(**change: object) -> list[Gate]:
    good = {"parity": 0.0, "fp32": flipped(0), "int8": flipped(0), "limits": Limits(), "trained": never}
    return measure(**good | change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"parity": 2e-4}, r"parity is 0\.0002, must be at most 0\.0001; nothing was written"),
        ({"int8": flipped(7)}, r"agreement is 0\.965, must be at least 0\.99 \(7 of 200 photos differ, 95 % int"),
        ({"int8": flipped(9)}, r"accuracy_loss is 0\.045, must be at most 0\.005 \(9 of 200 lost, 0 won, 95 % interv"),
        (
            {"fp32": flipped(100), "int8": flipped(100)},
            r"balanced_accuracy is 0\.5, must be at least 0\.5 .*takes any model",
        ),
        ({"fp32": flipped(200), "int8": flipped(200)}, r"worst_recall is 0, must be at least 0\.5 \(class0: 0 of 100"),
        ({"limits": Limits(min_accuracy=1.01)}, r"accuracy is 1, must be at least 1\.01: --min-accuracy or DANDELION_"),
        ({"wide_accuracy": 1.1}, r"narrowing is 0\.1, must be at most 0\.01 \(20 of 200 lost"),
    ],
)
def test_each_gate_refuses_by_name(change: dict[str, object], reason: str) -> None:
    require(gates())
    with pytest.raises(GateError, match=reason):
        require(gates(**change))


@pytest.mark.parametrize(
    ("photos", "differ", "passes"), [(80, 1, True), (80, 3, True), (80, 4, False), (400, 9, False)]
)
def test_int8_is_refused_for_more_photos_than_chance_explains_not_for_one_of_eighty(
    photos: int, differ: int, passes: bool
) -> None:
    truth = [0, 1] * (photos // 2)
    int8 = said(truth, [1 - label for label in truth[:differ]] + truth[differ:])
    found = {gate.name: gate for gate in gates(fp32=said(truth, truth), int8=int8)}
    assert found["agreement"].passed == passes
    assert found["agreement"].value == 1 - differ / photos


def test_a_quantisation_that_is_broken_is_refused_even_on_a_handful_of_photos() -> None:
    truth = [0, 1] * 5
    with pytest.raises(GateError, match=r"agreement is 0\.5.*accuracy_loss"):
        require(gates(fp32=said(truth, truth), int8=said(truth, [0] * 10), trained=lambda _: (0, 20)))


def test_photos_that_int8_wins_are_set_against_those_that_it_loses() -> None:
    fp32 = said(TRUTH, [1, 0, 1, *TRUTH[3:]])
    int8 = said(TRUTH, [*TRUTH[:3], 0, 1, *TRUTH[5:]])
    loss = next(gate for gate in gates(fp32=fp32, int8=int8) if gate.name == "accuracy_loss")
    assert (round(loss.value, 4), loss.about) == (-0.005, "2 of 200 lost, 3 won")


def test_a_model_that_never_says_one_of_its_classes_is_refused() -> None:
    """100 photos against 5: twenty and one to validate, all named as the common class."""
    model = by_counts((20, 20), (0, 1))
    with pytest.raises(
        GateError, match=r"worst_recall is 0, .*class1: 0 of 5 photos, training ones among them.*--min-"
    ):
        require(gates(fp32=model, int8=model, trained=lambda _: (0, 4)))
    assert not balanced_accuracy(model, 0.5).passed


@pytest.mark.parametrize("classes", [2, 3, 10, 50])
@pytest.mark.parametrize("photos", [1, 2, 3, 40])
def test_a_perfect_model_is_never_refused_however_few_photos_a_class_has(photos: int, classes: int) -> None:
    model = by_counts((20, 20), *[(photos, photos)] * (classes - 1))
    require(gates(fp32=model, int8=model))
    model = by_counts(*[(photos, photos)] * classes)
    require(gates(fp32=model, int8=model))


def test_one_unlucky_class_of_fifty_does_not_refuse_a_model_that_knows_its_training_photos() -> None:
    model = by_counts(*[(2, 2)] * 40, *[(1, 2)] * 9, (0, 2))
    assert balanced_accuracy(model, 0.02).passed
    gate = worst_recall(model, 0.02, lambda _: (8, 8))
    assert gate.passed
    assert not worst_recall(model, 0.02, lambda _: (0, 8)).passed


def test_a_model_that_knows_its_training_photos_alone_is_refused() -> None:
    model = by_counts(*[(0, 2)] * 50)
    assert worst_recall(model, 0.02, lambda _: (8, 8)).passed
    assert not balanced_accuracy(model, 0.02).passed


def test_a_class_with_many_photos_is_judged_by_these_alone() -> None:
    assert worst_recall(by_counts((40, 40), (27, 40)), 0.5, never).passed
    gate = worst_recall(by_counts((40, 40), (26, 40)), 0.5, never)
    assert not gate.passed
    assert gate.about == "class1: 26 of 40 photos"


def test_a_class_without_validation_photos_is_judged_by_its_training_photos() -> None:
    model = by_counts((20, 20), (0, 0))
    assert worst_recall(model, 0.5, lambda _: (6, 6)).passed
    assert not worst_recall(model, 0.5, lambda _: (0, 0)).passed
    assert balanced_accuracy(model, 0.5).passed


def test_few_photos_in_all_ask_for_more_than_guessing_not_for_an_interval_above_it() -> None:
    assert balanced_accuracy(by_counts((2, 2), (1, 2)), 0.5).passed
    assert not balanced_accuracy(by_counts((2, 2), (0, 2)), 0.5).passed
    assert not balanced_accuracy(by_counts((9, 15), (9, 15)), 0.5).passed


def test_a_floor_of_zero_takes_any_model() -> None:
    model = by_counts((20, 20), (0, 20))
    require(gates(fp32=model, int8=model, limits=Limits(min_accuracy=0)))


def test_the_floor_of_the_public_photos_is_for_these_alone_and_yields_to_another() -> None:
    assert Limits().for_data(public=True).min_accuracy == PUBLIC_ACCURACY
    assert Limits().for_data(public=False).min_accuracy is None
    assert Limits(min_accuracy=0.5).for_data(public=True).min_accuracy == 0.5
    assert "accuracy" not in {gate.name for gate in gates()}


def test_a_model_that_cannot_be_told_from_guessing_is_warned_of() -> None:
    line = against_guessing(by_counts((20, 20), (0, 1)))
    assert line.startswith("warning: right on 20 of 21 validation photos: 95.2%, 95 % interval 77.3% to 99.2%; always")
    assert "'class0' would reach 95.2%, blind guessing 50.0%" in line
    assert not against_guessing(by_counts((19, 20), (20, 20))).startswith("warning")


def test_a_gate_of_an_older_bundle_is_judged_by_its_value() -> None:
    assert not Gate("agreement", 0.985, 0.99, "at least").passed
    assert Gate("accuracy_loss", 0.005, 0.005, "at most").passed
