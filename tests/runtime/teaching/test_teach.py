"""From features of photos to a head with its report."""

from __future__ import annotations

import functools
import hashlib
import importlib
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from runtime.teaching.examples import Examples, Sums
from runtime.teaching.learning.calibration import probabilities_of
from runtime.teaching.learning.solver import logits_of
from runtime.teaching.report import Report
from runtime.teaching.teach import MIN_PHOTOS, Lesson, TooFew, teach
from tests.runtime.teaching.learning.drawn import SCALE, drawn_features

DIMENSIONS = 128


def examples(counts: list[int], *, noise: float = 1.5, views: int = 2) -> Examples:
    """Photos of as many classes as there are counts; those of other things are of the class after them."""
    truth = np.repeat(np.arange(len(counts)), counts)
    everything = drawn_features(np.append(truth, 9), dimensions=DIMENSIONS, noise=noise, views=views)[:-1]
    labels = [f"class {index}" for index in range(len(counts))]
    return named(labels, truth, everything)


def named(labels: Sequence[str], truth: NDArray[np.int64], features: Sums) -> Examples:
    photos = [f"photo {index}" for index in range(len(truth))]
    return Examples(labels, photos, truth, features, np.full(len(truth), 0.5, np.float32))


def other_things(count: int = 120) -> Sums:
    truth = np.append(np.repeat([7, 8], count // 2), 9)
    return drawn_features(truth, dimensions=DIMENSIONS, noise=1.5, views=2)[:-1]


def answers(lesson: Lesson, photos: Sums) -> NDArray[np.float64]:
    return probabilities_of(logits_of(photos[:, 0], lesson.head, SCALE), lesson.temperature)


def test_a_lesson_recognises_photos_that_it_has_not_seen() -> None:
    known = examples([60, 60, 60])
    lesson = teach(known, other_things(), SCALE)
    unseen = drawn_features(np.append(np.arange(300) % 3, 9), dimensions=DIMENSIONS, noise=1.5, seed=0)[:-1]
    said = answers(lesson, unseen)
    assert said.shape == (300, 4)
    assert (said[:, :3].argmax(axis=1) == np.arange(300) % 3).mean() > 0.9
    assert lesson.unknown_threshold is not None
    assert (said[:, -1] >= lesson.unknown_threshold).mean() <= 0.1
    assert (answers(lesson, other_things())[:, -1] >= lesson.unknown_threshold).mean() > 0.8


def test_the_report_is_of_photos_that_were_held_out() -> None:
    """Photos of nothing but noise are learned by heart, and are recognised no better than by guessing."""
    noise = examples([100, 100])
    features = drawn_features(np.zeros(200, np.int64), dimensions=DIMENSIONS, noise=2.0, views=2)
    lesson = teach(replace(noise, features=features), None, SCALE)
    said = answers(lesson, features)
    assert (said.argmax(axis=1) == noise.truth).mean() > 0.85
    assert 0.35 < lesson.report.accuracy < 0.65
    assert lesson.report.interval[0] < 0.5 < lesson.report.interval[1]
    assert lesson.report.answered < 0.2


def test_copies_of_photos_do_not_make_the_report_better() -> None:
    plain = examples([40, 40], noise=3.0)
    twice = named(plain.labels, np.tile(plain.truth, 2), np.concatenate([plain.features, plain.features]))
    honest, copied = teach(plain, None, SCALE).report, teach(twice, None, SCALE).report
    assert copied.accuracy == pytest.approx(honest.accuracy, abs=0.05)


def test_a_photo_under_the_wrong_label_is_the_most_doubtful() -> None:
    known = examples([50, 50])
    truth = known.truth.copy()
    truth[[3, 70]] = 1 - truth[[3, 70]]
    found = teach(replace(known, truth=truth), other_things(), SCALE).report.doubtful
    assert {each.photo for each in found[:2]} == {"photo 3", "photo 70"}
    assert {each.suggestion for each in found[:2]} == {"class 0", "class 1"}


def test_without_other_things_there_is_no_unknown_class() -> None:
    lesson = teach(examples([20, 20]), None, SCALE)
    assert lesson.unknown_threshold is None
    assert lesson.head.weights.shape == (DIMENSIONS, 2)
    assert lesson.held_out.shape == (40, 2)
    assert lesson.report.called_unknown == 0


def test_the_report_goes_to_json_and_back() -> None:
    report = teach(examples([12, 15, 4]), other_things(), SCALE).report
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report
    assert [each.photos for each in report.classes] == [12, 15, 4]
    assert report.classes[2].next_ten is None


@pytest.mark.parametrize("counts", [[3, 3], [3, 40], [3] * 12])
def test_three_photos_of_a_class_are_enough(counts: list[int]) -> None:
    lesson = teach(examples(counts), other_things(), SCALE)
    assert lesson.report.photos == sum(counts)
    assert np.isfinite(lesson.head.weights).all()
    assert lesson.abstain_threshold >= 0.9


@pytest.mark.parametrize(("classes", "each"), [(10, 20), pytest.param(50, 10, marks=pytest.mark.thorough)])
def test_many_classes_are_learned_as_well_as_scikit_learn_does(classes: int, each: int) -> None:
    known = examples([each] * classes, noise=1.0, views=1)
    values = known.features[:, 0] * SCALE
    theirs = [
        cross_val_score(LogisticRegression(C=strength, max_iter=1000), values, known.truth, cv=5).mean()
        for strength in (0.01, 0.1)
    ]
    lesson = teach(known, other_things(), SCALE)
    assert lesson.head.bias.shape == (classes + 1,)
    assert lesson.report.accuracy > max(theirs) - 0.02


def test_the_same_photos_give_the_same_lesson_to_the_last_bit() -> None:
    one, other = (teach(examples([30, 30]), other_things(), SCALE) for _ in range(2))
    assert one.head.weights.tobytes() == other.head.weights.tobytes()
    assert (one.temperature, one.report) == (other.temperature, other.report)


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_a_handful_of_other_things_does_no_harm(count: int) -> None:
    others = other_things()[:count]
    lesson = teach(examples([30, 30]), others, SCALE)
    assert (lesson.unknown_threshold is None) == (count < 2)
    assert lesson.report.accuracy > 0.9


def test_no_class_is_refused() -> None:
    with pytest.raises(TooFew, match="there are no classes yet; add two, with photos"):
        teach(named([], np.zeros(0, np.int64), other_things()[:0]), None, SCALE)


def test_one_class_is_refused() -> None:
    with pytest.raises(TooFew, match="one class alone; add a second class"):
        teach(examples([20]), other_things(), SCALE)


def test_too_few_photos_are_refused_with_how_many_are_missing() -> None:
    known = examples([20, 2, 1])
    with pytest.raises(TooFew) as refused:
        teach(known, other_things(), SCALE)
    assert str(refused.value) == (
        f"teaching: each class needs {MIN_PHOTOS} photos at least; 'class 1' has 2 photos: 1 more, "
        "'class 2' has 1 photo: 2 more"
    )


def test_a_class_without_a_photo_is_refused() -> None:
    known = examples([5, 5])
    with pytest.raises(TooFew, match="'gate' has no photo: 3 more"):
        teach(replace(known, labels=[*known.labels, "gate"]), None, SCALE)


def test_a_class_of_copies_is_refused() -> None:
    known = examples([5, 5])
    features = known.features.copy()
    features[5:] = features[5]
    with pytest.raises(TooFew, match="all photos of 'class 1' are copies of one; add others"):
        teach(replace(known, features=features), None, SCALE)


def test_progress_goes_from_stage_to_stage() -> None:
    told: list[tuple[str, int, int]] = []
    teach(examples([30, 30]), other_things(), SCALE, on_progress=lambda *each: told.append(each))
    assert list(dict.fromkeys(stage for stage, _, _ in told)) == ["comparing", "learning", "checking"]
    learning = [done for stage, done, _ in told if stage == "learning"]
    assert learning[0] == 0
    assert learning[-1] == 100
    assert told[-1] == ("checking", 1, 1)


@pytest.mark.parametrize("after", [0, 1, 5])
def test_a_lesson_is_stopped_between_any_two_steps(after: int) -> None:
    told: list[str] = []

    def on_progress(stage: str, done: int, total: int) -> None:
        told.append(stage)
        if len(told) > after:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        teach(examples([30, 30]), other_things(), SCALE, on_progress=on_progress)
    assert len(told) == after + 1


PROGRAM = """
import hashlib
import msgspec
import numpy as np
from runtime.teaching.teach import teach
from tests.runtime.teaching.learning.drawn import SCALE, drawn_features
from runtime.teaching.examples import Examples
truth = np.arange(150) % 3
everything = drawn_features(np.append(truth, np.full(60, 4)), dimensions=512, noise=2.5, views=2)
known = Examples(["a", "b", "c"], [str(row) for row in range(150)], truth, everything[:150], np.ones(150, np.float32))
lesson = teach(known, everything[150:], SCALE)
kept = (lesson.temperature, lesson.abstain_threshold, lesson.unknown_threshold, lesson.report)
arrays = (lesson.head.weights, lesson.head.bias, lesson.held_out)
print(hashlib.sha256(msgspec.json.encode(kept) + b"".join(map(np.ndarray.tobytes, arrays))).hexdigest())
"""


@pytest.mark.parametrize(
    "surroundings",
    [
        pytest.param({"OPENBLAS_NUM_THREADS": "2"}, marks=pytest.mark.thorough),
        pytest.param({"OPENBLAS_CORETYPE": "Prescott"}, marks=pytest.mark.thorough),
        {"OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_NUM_THREADS": "3"},
        {"NPY_DISABLE_CPU_FEATURES": "features", "OPENBLAS_CORETYPE": "Nehalem"},
    ],
)
def test_a_lesson_is_the_same_to_the_last_bit_whatever_the_cpu_and_the_threads(surroundings: dict[str, str]) -> None:
    if "NPY_DISABLE_CPU_FEATURES" in surroundings:
        surroundings = surroundings | {"NPY_DISABLE_CPU_FEATURES": _disabled()}
    assert _digest(surroundings) == _usual_digest()


def _disabled() -> str:
    """All the features of this CPU that NumPy can do without."""
    built = importlib.import_module("numpy._core._multiarray_umath")
    return " ".join(each for each in built.__cpu_dispatch__ if built.__cpu_features__.get(each))


@functools.cache
def _usual_digest() -> str:
    return _digest({"OPENBLAS_NUM_THREADS": "1"})


def _digest(surroundings: dict[str, str]) -> str:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        env=os.environ | {"PYTHONPATH": str(Path.cwd())} | surroundings,
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(ran.stdout.strip()) == len(hashlib.sha256().hexdigest())
    return ran.stdout
