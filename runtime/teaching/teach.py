"""Teaching from features: the head, its calibration, and the report by cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.errors import Refusal
from runtime.teaching.examples import Examples, Sums
from runtime.teaching.head import Head
from runtime.teaching.learning.balance import UNKNOWN_PRIOR
from runtime.teaching.learning.calibration import (
    Calibration,
    fit_temperature,
    probabilities_of,
    thresholds_for,
)
from runtime.teaching.learning.crossvalidation import folds_of
from runtime.teaching.learning.figures import HeldOut, report_on
from runtime.teaching.learning.heads import fit_heads
from runtime.teaching.learning.learning_curve import next_ten, power_of
from runtime.teaching.learning.near_copies import distinct, near_copies
from runtime.teaching.learning.solver import TOLERANCE, logits_of
from runtime.teaching.report import Report

MIN_PHOTOS = 3  # of a class: with two, cross-validation would learn it from one

_ROUGH = 0.05  # tolerance of the heads that are for the figures alone: 0.003 in a probability
_LEAST_OTHERS = 2

Progress = Callable[[str, int, int], None]


class TooFew(Refusal):
    """There is not enough to learn from."""


@dataclass(frozen=True)
class Lesson:
    """What was learned from `examples`.

    The `head` is for features in their own unit (float). It has an output for each of the `labels`, and for the unknown
    class as the last if there were photos of other things; then `unknown_threshold` is not None. Probabilities are the
    softmax of its logits / `temperature`. `held_out` [N, C] or [N, C + 1] are those of each photo by a model that has
    not seen it.
    """

    examples: Examples
    labels: Sequence[str]
    head: Head
    temperature: float
    abstain_threshold: float
    unknown_threshold: float | None
    report: Report
    held_out: NDArray[np.float64]


def teach(
    examples: Examples,
    others: Sums | None,
    scale: float,
    *,
    on_progress: Progress = lambda *_: None,
) -> Lesson:
    """A head for the classes of `examples`, and for the unknown class if there are `others`.

    `others` [M, V, D] are features of photos of other things; with fewer than two there is no unknown class. Features
    are integers of unit `scale`. `on_progress(stage, done, total)` is called many times a second; what it raises
    ends the teaching.

    Raises TooFew if there is one class alone, or a class has fewer than MIN_PHOTOS photos or is one photo copied.
    """
    check(examples)
    if others is not None and len(others) < _LEAST_OTHERS:
        others = None

    on_progress("comparing", 0, 1)
    plan = _Plan.of(examples, 0 if others is None else len(others))
    on_progress("learning", 0, 100)
    heads = fit_heads(
        examples,
        others,
        scale,
        plan.seen,
        plan.others_seen,
        tolerance=[TOLERANCE, *[_ROUGH] * (len(plan.seen) - 1)],
        on_step=lambda done: on_progress("learning", int(100 * done), 100),
    )
    on_progress("checking", 0, 1)
    lesson = _checked(examples, others, scale, plan, heads)
    on_progress("checking", 1, 1)
    return lesson


def check(examples: Examples) -> None:
    """Raises TooFew if there is not enough to learn from, and says what is missing."""
    check_counts(examples.labels, examples.counts.tolist())
    different = distinct(examples.features[:, 0], examples.truth, len(examples.labels)).tolist()
    for label, photos in zip(examples.labels, different, strict=True):
        if photos == 1:
            raise TooFew(f"teaching: all photos of {label!r} are copies of one; add others")


def check_counts(labels: Sequence[str], counts: Sequence[int]) -> None:
    """Raises TooFew if there are too few classes, or too few photos in one of them, and says what is missing."""
    if not labels:
        raise TooFew("teaching: there are no classes yet; add two, with photos")
    if len(labels) == 1:
        raise TooFew("teaching: there are photos of one class alone; add a second class to tell it from")
    missing = [
        f"{label!r} has {_photos(photos)}: {MIN_PHOTOS - photos} more"
        for label, photos in zip(labels, counts, strict=True)
        if photos < MIN_PHOTOS
    ]
    if missing:
        raise TooFew(f"teaching: each class needs {MIN_PHOTOS} photos at least; {', '.join(missing)}")


def _photos(count: int) -> str:
    return {0: "no photo", 1: "1 photo"}.get(count, f"{count} photos")


@dataclass(frozen=True)
class _Plan:
    """Who learns from what. Of the problems the first sees all photos, one for each fold sees all but those that it
    holds out, and the last two see one half each.

    `groups` [N] of near copies, `fold` [N] and `half` [N] are of the photos, `other_fold` [M] of those of other things.
    """

    groups: NDArray[np.int64]
    fold: NDArray[np.int64]
    half: NDArray[np.int64]
    other_fold: NDArray[np.int64]

    @classmethod
    def of(cls, examples: Examples, others: int) -> _Plan:
        groups = near_copies(examples.features[:, 0], examples.truth)
        fold = folds_of(examples.truth, groups)
        half = folds_of(examples.truth, groups, folds=2, seed=1)
        return cls(groups, fold, half, np.arange(others) % (int(fold.max()) + 1))

    @property
    def folds(self) -> int:
        return int(self.fold.max()) + 1

    @property
    def seen(self) -> NDArray[np.bool_]:
        """The photos that each problem sees, [P, N]."""
        everything = np.ones((1, len(self.fold)), bool)
        by_fold = self.fold != np.arange(self.folds)[:, np.newaxis]
        return np.concatenate([everything, by_fold, self.half != np.arange(2)[:, np.newaxis]])

    @property
    def others_seen(self) -> NDArray[np.bool_]:
        """The photos of other things that each problem sees, [P, M]."""
        everything = np.ones((1, len(self.other_fold)), bool)
        by_fold = self.other_fold != np.arange(self.folds)[:, np.newaxis]
        return np.concatenate([everything, by_fold, everything, everything])


def _checked(examples: Examples, others: Sums | None, scale: float, plan: _Plan, heads: Sequence[Head]) -> Lesson:
    """The lesson, with what the heads of the folds answer to the photos that they have not seen."""
    labels, photos = len(examples.labels), examples.features[:, 0]
    logits = _unseen(photos, plan.fold, heads[1 : plan.folds + 1], scale)
    other_logits = None if others is None else _unseen(others[:, 0], plan.other_fold, heads[1 : plan.folds + 1], scale)
    temperature = _temperature(logits, other_logits, examples.truth, labels)
    held_out = HeldOut(
        examples.labels,
        examples.photos,
        examples.truth,
        probabilities_of(logits, temperature),
        plan.fold,
        plan.groups,
    )
    calibration = thresholds_for(held_out.probabilities, examples.truth, labels, temperature)
    usual = 1.0 if other_logits is None else float(probabilities_of(other_logits, temperature)[:, -1].mean())
    gains = next_ten(held_out.counts, held_out.right, _power(examples, plan, heads, scale, held_out))
    return Lesson(
        examples=examples,
        labels=examples.labels,
        head=heads[0],
        temperature=temperature,
        abstain_threshold=calibration.abstain,
        unknown_threshold=calibration.unknown,
        report=report_on(held_out, _nested(held_out, temperature), gains, usual),
        held_out=held_out.probabilities,
    )


def _temperature(
    logits: NDArray[np.float64], others: NDArray[np.float64] | None, truth: NDArray[np.int64], labels: int
) -> float:
    """The temperature that held-out `logits` [N, C] of the photos and of `others` [M, C] ask for, at their prior."""
    if others is None:
        return fit_temperature(logits, truth, np.ones(len(truth)))
    theirs = len(truth) * UNKNOWN_PRIOR / (1 - UNKNOWN_PRIOR) / len(others)
    return fit_temperature(
        np.concatenate([logits, others]),
        np.concatenate([truth, np.full(len(others), labels)]),
        np.concatenate([np.ones(len(truth)), np.full(len(others), theirs)]),
    )


def _power(examples: Examples, plan: _Plan, heads: Sequence[Head], scale: float, held_out: HeldOut) -> float:
    """The power by which errors fall with more photos, from the heads of halves and of folds."""
    half = _unseen(examples.features[:, 0], plan.half, heads[-2:], scale)[:, : len(examples.labels)]
    few, many = (np.count_nonzero(said != examples.truth) for said in (half.argmax(axis=1), held_out.predicted))
    return power_of(int(few), int(many), 2 * (1 - 1 / plan.folds))


def _unseen(photos: Sums, part: NDArray[np.int64], heads: Sequence[Head], scale: float) -> NDArray[np.float64]:
    """Logits [N, C] of each photo by the head of the part [N] that holds it out."""
    logits = np.zeros((len(photos), len(heads[0].bias)))
    for index, head in enumerate(heads):
        if (part == index).any():
            logits[part == index] = logits_of(photos[part == index], head, scale)
    return logits


def _nested(held_out: HeldOut, temperature: float) -> list[Calibration]:
    """Thresholds for each fold that the photos of all others ask for."""
    return [
        thresholds_for(
            held_out.probabilities[held_out.fold != fold],
            held_out.truth[held_out.fold != fold],
            len(held_out.labels),
            temperature,
        )
        for fold in range(int(held_out.fold.max()) + 1)
    ]
