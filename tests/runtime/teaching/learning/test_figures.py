from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.teaching.learning.calibration import Calibration
from runtime.teaching.learning.figures import HeldOut, confused, doubtful, report_on, wilson_interval
from runtime.teaching.report import Confusion
from training.metrics.intervals import proportion_interval

LABELS = ["gate", "hedge", "wall"]


def held_out(truth: list[int], *rows: tuple[float, ...]) -> HeldOut:
    photos = [f"photo {index}" for index in range(len(truth))]
    return HeldOut(LABELS, photos, np.array(truth), np.array(rows), np.arange(len(truth)) % 2, np.arange(len(truth)))


def sure(label: int, classes: int = 3, of_it: float = 0.9) -> tuple[float, ...]:
    row: NDArray[np.float64] = np.full(classes, (1 - of_it) / (classes - 1))
    row[label] = of_it
    return tuple(row)


@pytest.mark.parametrize(("right", "photos"), [(0, 3), (3, 3), (1, 7), (188, 200), (9999, 10000)])
def test_intervals_are_wilsons(right: int, photos: int) -> None:
    assert wilson_interval(right, photos) == pytest.approx(proportion_interval(right, photos), abs=1e-12)


def test_pairs_that_are_confused_come_most_frequent_first() -> None:
    said = held_out([0, 0, 0, 1, 2, 2], sure(0), sure(1), sure(1), sure(2), sure(0), sure(2))
    assert confused(said) == [
        Confusion("gate", "hedge", 2),
        Confusion("hedge", "wall", 1),
        Confusion("wall", "gate", 1),
    ]


def test_a_photo_that_the_others_speak_against_is_doubtful_and_the_worst_comes_first() -> None:
    said = held_out([0, 0, 1, 1, 2], sure(0), sure(1), sure(0, of_it=0.98), (0.3, 0.25, 0.45), sure(2))
    found = doubtful(said)
    assert [(each.photo, each.label, each.suggestion) for each in found] == [
        ("photo 2", "hedge", "gate"),
        ("photo 1", "gate", "hedge"),
    ]
    assert found[0].probability == pytest.approx(0.01)


def test_a_photo_of_none_of_the_classes_comes_after_those_under_a_wrong_label() -> None:
    unknown = (0.02, 0.01, 0.01, 0.96)
    said = held_out([0, 0, 1], sure(0, 4), unknown, sure(0, 4, of_it=0.8))
    assert [each.suggestion for each in doubtful(said, usual_unknown=0.9)] == ["gate", None]
    assert [each.suggestion for each in doubtful(said, usual_unknown=0.97)] == ["gate"]


def test_the_report_counts_answers_by_the_thresholds_of_the_other_folds() -> None:
    said = held_out([0, 0, 1, 2], (0.9, 0.05, 0, 0.05), (0.5, 0.1, 0, 0.4), (0.6, 0.3, 0, 0.1), (0.1, 0, 0.7, 0.2))
    strict, easy = Calibration(1.0, 0.65, 0.3), Calibration(1.0, 0.45, 0.45)
    found = report_on(said, [strict, easy], [0.1, None, 0.0])
    assert (found.photos, found.folds, found.accuracy) == (4, 2, 0.75)
    assert found.balanced_accuracy == pytest.approx(2 / 3, abs=1e-4)
    assert found.answered == 0.75  # the third is uncertain
    assert found.answered_precision == 1
    assert found.called_unknown == 0
    assert [(each.label, each.photos, each.recall, each.next_ten) for each in found.classes] == [
        ("gate", 2, 1.0, 0.1),
        ("hedge", 1, 0.0, None),
        ("wall", 1, 1.0, 0.0),
    ]
    assert report_on(said, [strict, strict], [None] * 3).called_unknown == 0.25


def test_in_intervals_near_copies_count_one() -> None:
    truth = [0, 1, 2] * 40
    said = held_out(truth, *[sure(label if index % 10 else 0) for index, label in enumerate(truth)])
    alone = report_on(said, [Calibration(1.0, 0.5, None)] * 2, [None] * 3)
    copied = replace(said, groups=np.arange(120) // 12 * 3 + np.array(truth))  # four of each
    found = report_on(copied, [Calibration(1.0, 0.5, None)] * 2, [None] * 3)
    assert (found.accuracy, found.classes[0].recall) == (alone.accuracy, alone.classes[0].recall)
    assert found.interval == pytest.approx(wilson_interval(30 * alone.accuracy, 30), abs=1e-4)
    assert found.interval[0] < alone.interval[0]
    assert found.classes[0].interval == wilson_interval(10, 10)


def test_without_any_certain_answer_there_is_no_precision() -> None:
    said = held_out([0, 1, 2], sure(0), sure(1), sure(2))
    found = report_on(said, [Calibration(1.0, 1.0, None)] * 2, [None] * 3)
    assert (found.answered, found.answered_precision) == (0.0, 0.0)
