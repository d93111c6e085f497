"""How well taught models recognise photos that they have not seen, paired with scikit-learn's logistic regression."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from benchmarks.statistics.goals import Goal
from benchmarks.statistics.samples import Estimate, mean_of
from runtime.cli.progress import progress
from runtime.errors import Refusal
from runtime.teaching.backbone import Backbone
from runtime.teaching.examples import Examples
from runtime.teaching.learning.solver import logits_of
from runtime.teaching.teach import teach

FOLDS = 5
STRENGTHS = (0.01, 0.03, 0.1)  # of scikit-learn's; the best one counts
ALL = "five folds"
GOALS = {ALL: 0.963, "10 photos a class": 0.915, "3 photos a class": 0.85}
FEW = (10, 3)  # photos a class
NO_WORSE = -0.02  # of many classes, than scikit-learn


class Trial(NamedTuple):
    """Rows to learn from, and rows to ask about."""

    known: NDArray[np.int64]
    asked: NDArray[np.int64]


class Accuracies(msgspec.Struct, frozen=True):
    """Accuracies 0..1 of the same trials: of taught models, and of scikit-learn's on other features or on the same.

    `theirs` are by the strength that is best on average; empty if there are no such features.
    """

    name: str
    ours: list[float]
    theirs: list[float]
    strength: float | None

    @property
    def difference(self) -> Estimate:
        """By how much taught models are better, paired."""
        return mean_of(np.subtract(self.ours, self.theirs).tolist())


def require_photos(examples: Examples) -> None:
    """Raises Refusal if there are too few photos to learn from some, and to ask about others."""
    for label, photos in zip(examples.labels, examples.counts.tolist(), strict=True):
        if photos <= max(FEW):
            raise Refusal(f"{label!r} has {photos} photos; {max(FEW) + 1} are needed, to learn from {max(FEW)}")


def fold_trials(truth: NDArray[np.int64], seeds: int) -> list[list[Trial]]:
    """For each seed FOLDS trials, which together ask about each photo once."""
    return [
        [Trial(*rows) for rows in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(truth, truth)]
        for seed in range(seeds)
    ]


def few_trials(truth: NDArray[np.int64], each: int, draws: int) -> list[list[Trial]]:
    """For each draw one trial, that learns from `each` photos of a class and asks about all others."""
    return [[_drawn(truth, each, seed)] for seed in range(draws)]


def _drawn(truth: NDArray[np.int64], each: int, seed: int) -> Trial:
    chance = np.random.default_rng(seed)
    known = np.concatenate([chance.choice(np.flatnonzero(truth == label), each, replace=False)
                            for label in np.unique(truth)])  # fmt: skip
    return Trial(np.sort(known), np.setdiff1d(np.arange(len(truth)), known))


def measure_accuracy(
    name: str,
    examples: Examples,
    backbone: Backbone,
    trials: Sequence[Sequence[Trial]],
    compared: NDArray[np.float32] | None,
) -> Accuracies:
    """Teach each trial from the photos that it knows; `compared` [N, V, D] are the features for scikit-learn."""
    theirs: dict[float, list[float]] = {strength: [] for strength in STRENGTHS if compared is not None}
    ours = []
    with progress(name, len(trials)) as advance:
        for parts in trials:
            ours.append(_share(examples.truth, parts, (_taught(examples, backbone, part) for part in parts)))
            for strength, found in theirs.items():
                assert compared is not None  # noqa: S101 - else there are no strengths
                said = (_regressed(compared, examples.truth, part, strength) for part in parts)
                found.append(_share(examples.truth, parts, said))
            advance()
    best = max(theirs, key=lambda strength: float(np.mean(theirs[strength])), default=None)
    return Accuracies(name, ours, [] if best is None else theirs[best], best)


def _share(truth: NDArray[np.int64], parts: Sequence[Trial], said: Iterator[NDArray[np.int64]]) -> float:
    """The share of all photos asked about that are recognised."""
    right = [answers == truth[part.asked] for part, answers in zip(parts, said, strict=True)]
    return float(np.concatenate(right).mean())


def _taught(examples: Examples, backbone: Backbone, trial: Trial) -> NDArray[np.int64]:
    known = replace(
        examples,
        photos=[examples.photos[row] for row in trial.known],
        truth=examples.truth[trial.known],
        features=examples.features[trial.known],
        brightness=examples.brightness[trial.known],
    )
    others = backbone.others_for(examples.labels)
    lesson = teach(known, others, backbone.scale)
    logits = logits_of(examples.features[trial.asked, 0], lesson.head, backbone.scale)
    said: NDArray[np.int64] = logits[:, : len(examples.labels)].argmax(axis=1)
    return said


def _regressed(
    features: NDArray[np.float32], truth: NDArray[np.int64], trial: Trial, strength: float
) -> NDArray[np.int64]:
    """scikit-learn's answers to the first view, learned from all views."""
    known = features[trial.known]
    model = LogisticRegression(C=strength, max_iter=1000)
    model.fit(known.reshape(-1, known.shape[2]), np.repeat(truth[trial.known], known.shape[1]))
    said: NDArray[np.int64] = model.predict(features[trial.asked, 0])
    return said


def accuracy_goals(public: Sequence[Accuracies], many: Sequence[Accuracies]) -> list[Goal]:
    """The figures to reach, in %: of the public photos, and of many classes."""
    goals = [
        Goal(f"accuracy, %, {one.name}", _percent(mean_of(one.ours)), "at least", GOALS[one.name] * 100, len(one.ours))
        for one in public
    ]
    against = [(one, "with FP32 features", 0.0) for one in public if one.theirs]
    against += [(one, "of scikit-learn", NO_WORSE) for one in many]
    return goals + [
        Goal(f"accuracy less that {whose}, %, {one.name}", _percent(one.difference), "at least", limit * 100,
             len(one.ours))
        for one, whose, limit in against
    ]  # fmt: skip


def _percent(share: Estimate) -> Estimate:
    return Estimate(share.value * 100, share.low * 100, share.high * 100)
