"""The report on held-out photos: how good the model is, and which photos and classes hold it back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.teaching.learning.calibration import Calibration
from runtime.teaching.report import ClassReport, Confusion, Doubtful, Interval, Report

MOST_DOUBTFUL = 100
# How many wrong labels it finds: benchmarks/NOTES.md.
SPOKEN_AGAINST = 3.0
_Z = 1.959963984540054  # of a 95 % interval


@dataclass(frozen=True)
class HeldOut:
    """N photos of C classes with the probabilities [N, C], or [N, C + 1] with the unknown class, of a model that has
    not seen them: that of the fold [N] that held them out. Near copies have one number in `groups` [N].
    """

    labels: Sequence[str]
    photos: Sequence[str]
    truth: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    fold: NDArray[np.int64]
    groups: NDArray[np.int64]

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable label of each photo, [N]."""
        best: NDArray[np.int64] = self.probabilities[:, : len(self.labels)].argmax(axis=1)
        return best

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many photos each class has, [C]."""
        return np.bincount(self.truth, minlength=len(self.labels))

    @property
    def different(self) -> NDArray[np.int64]:
        """How many photos of each class are no near copies of others, [C]: so many are evidence."""
        _, first = np.unique(self.groups, return_index=True)
        return np.bincount(self.truth[first], minlength=len(self.labels))

    @property
    def right(self) -> NDArray[np.int64]:
        """How many photos of each class are recognised, [C]."""
        return np.bincount(self.truth[self.predicted == self.truth], minlength=len(self.labels))


def report_on(
    held_out: HeldOut, nested: Sequence[Calibration], gains: Sequence[float | None], usual_unknown: float = 1.0
) -> Report:
    """The report. `nested` are the thresholds for each fold that the others ask for, `gains` [C] of ten more photos.

    `usual_unknown` is the mean probability of the unknown class of photos of other things.
    """
    right, counts, different = held_out.right, held_out.counts, held_out.different
    certain, unknown = _answers(held_out, nested)
    hits = held_out.predicted == held_out.truth
    return Report(
        photos=len(held_out.truth),
        folds=len(np.unique(held_out.fold)),
        accuracy=_share(right.sum(), counts.sum()),
        interval=wilson_interval(float(right.sum() / counts.sum() * different.sum()), int(different.sum())),
        balanced_accuracy=round(float((right / counts).mean()), 4),
        answered=_share(certain.sum(), len(certain)),
        answered_precision=_share(hits[certain].sum(), certain.sum()),
        called_unknown=_share(unknown.sum(), len(unknown)),
        classes=[
            ClassReport(label, photos, _share(hit, photos), wilson_interval(hit / photos * distinct, distinct), gain)
            for label, photos, hit, distinct, gain in zip(
                held_out.labels, counts.tolist(), right.tolist(), different.tolist(), gains, strict=True
            )
        ],
        confused=confused(held_out),
        doubtful=doubtful(held_out, usual_unknown),
    )


def wilson_interval(successes: float, trials: int) -> Interval:
    """The 95 % score interval of a proportion (Wilson 1927, doi:10.1080/01621459.1927.10502953)."""
    share, squared = successes / trials, _Z**2
    centre = share + squared / (2 * trials)
    width = _Z * math.sqrt(share * (1 - share) / trials + squared / (4 * trials**2))
    low, high = ((centre + side) / (1 + squared / trials) for side in (-width, width))
    return max(0.0, low), min(1.0, high)


def confused(held_out: HeldOut) -> list[Confusion]:
    """Which classes are taken for which, the most frequent first."""
    classes = len(held_out.labels)
    wrong = held_out.predicted != held_out.truth
    pairs = np.bincount(held_out.truth[wrong] * classes + held_out.predicted[wrong], minlength=classes**2)
    order = np.argsort(-pairs, kind="stable")[: np.count_nonzero(pairs)]
    return [
        Confusion(held_out.labels[pair // classes], held_out.labels[pair % classes], int(pairs[pair]))
        for pair in order.tolist()
    ]


def doubtful(held_out: HeldOut, usual_unknown: float = 1.0) -> list[Doubtful]:
    """Photos of which the others say that they are of another class, worst first, then those of none, worst first.

    They speak against a label if another is SPOKEN_AGAINST times as probable; and for none of the labels if besides the
    unknown class reaches `usual_unknown`, as its photos do on average (a bound as of confident learning: Northcutt,
    Jiang and Chuang 2021, arXiv:1911.00068).
    """
    photos, labels = np.arange(len(held_out.truth)), len(held_out.labels)
    rivals = held_out.probabilities.copy()
    own = rivals[photos, held_out.truth]
    rivals[photos, held_out.truth] = 0
    rivals[:, labels:] *= rivals[:, labels:] >= usual_unknown
    best, against = rivals.argmax(axis=1), rivals.max(axis=1)
    listed = np.flatnonzero(against >= SPOKEN_AGAINST * own)
    share = (own / (own + against))[listed]
    worst_first = listed[np.lexsort((share, best[listed] >= labels))]
    return [
        Doubtful(
            photo=held_out.photos[photo],
            label=held_out.labels[held_out.truth[photo]],
            suggestion=held_out.labels[best[photo]] if best[photo] < labels else None,
            probability=_rounded(own[photo]),
        )
        for photo in worst_first[:MOST_DOUBTFUL].tolist()
    ]


def _answers(held_out: HeldOut, nested: Sequence[Calibration]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which photos get a label with certainty, and which are called unknown, [N] each."""
    labels = len(held_out.labels)
    abstain = np.array([each.abstain for each in nested])[held_out.fold]
    unknown = np.zeros(len(abstain), bool)
    if held_out.probabilities.shape[1] > labels:
        limits = np.array([1.0 if each.unknown is None else each.unknown for each in nested])
        unknown = held_out.probabilities[:, -1] >= limits[held_out.fold]
    return ~unknown & (held_out.probabilities[:, :labels].max(axis=1) >= abstain), unknown


def _share(part: int, whole: int) -> float:
    return _rounded(part / whole) if whole else 0.0


def _rounded(value: float) -> float:
    return round(float(value), 4)
