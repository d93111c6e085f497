"""Selective classification: how many photos are answered with certainty, and how often these answers are right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from runtime.inference.thresholds import ANSWER_PRECISION
from training.evaluation.figured import Figured, share_of_copies
from training.evaluation.plots.axes import titled
from training.evaluation.plots.palette import GREEN, GREY, INK, YELLOW
from training.metrics.calibration import Thresholds
from training.metrics.scores import Predictions
from training.metrics.unknown import Answers, answers, pooled_answers

FEWEST = 20  # answers: a precision of fewer says nothing


@dataclass(frozen=True)
class HeldOut:
    """What is said of N held-out photos, as they are and of a copy of each by kind of copy; and the thresholds."""

    said: Predictions
    copies: Mapping[str, Predictions]
    thresholds: Thresholds

    @property
    def own(self) -> NDArray[np.bool_]:
        """Which photos are of the labels, [N]."""
        mine: NDArray[np.bool_] = self.said.truth < len(self.said.labels)
        return mine


class CertainFigures(msgspec.Struct, frozen=True):
    """Of photos of the labels: the share that is answered with certainty, and of these answers the share that is right.

    Of held-out photos, with thresholds that were set without them.
    """

    answered: Figured
    right: Figured


class Certain(msgspec.Struct, frozen=True):
    """The figures of photos as they are, and of their altered copies."""

    as_they_are: CertainFigures
    copies: CertainFigures | None = None


def plain_answers(folds: Sequence[HeldOut]) -> list[Answers]:
    """The answers to all folds' photos as they are; a list, as of `copied_answers`."""
    return [pooled_answers([answers(fold.said, fold.thresholds) for fold in folds])]


def copied_answers(folds: Sequence[HeldOut]) -> list[Answers]:
    """The answers to a copy of each photo, one entry for each kind of copy."""
    return [pooled_answers([answers(fold.copies[kind], fold.thresholds) for fold in folds]) for kind in folds[0].copies]


def certain(folds: Sequence[HeldOut]) -> Certain:
    """The figures of all folds' held-out photos of the labels."""
    own = np.concatenate([fold.own for fold in folds])
    copies = copied_answers(folds)
    return Certain(certain_figures(plain_answers(folds), own), certain_figures(copies, own) if copies else None)


def certain_figures(trials: Sequence[Answers], own: NDArray[np.bool_]) -> CertainFigures:
    """The figures of one or more answers to each of N photos, of which those in `own` [N] are of the labels."""
    certain = np.stack([trial.certain[own] for trial in trials])  # [K, P]
    right = np.stack([trial.right[own] for trial in trials]) & certain
    everything = np.full(certain.shape[1], len(trials), np.int64)
    return CertainFigures(
        share_of_copies(certain.sum(axis=0), everything), share_of_copies(right.sum(axis=0), certain.sum(axis=0))
    )


def coverage_plot(folds: Sequence[HeldOut], thresholds: Thresholds) -> Figure:
    """What the abstention threshold buys: the share of photos that are answered against how many answers are right.

    An answer that is called unknown counts as none. The `thresholds` are marked.
    """
    figure, axes = titled(9.2, 3.4, "What abstaining buys")
    curves = {"photos as they are": [fold.said.own for fold in folds]}
    if folds[0].copies:
        curves["altered copies"] = [copy.own for fold in folds for copy in fold.copies.values()]
    lowest = 1.0
    for colour, (name, parts) in zip((GREEN, GREY), curves.items(), strict=False):
        share, precision, kept = _curve(parts, thresholds)
        axes.plot(share[FEWEST - 1 :], precision[FEWEST - 1 :], color=colour, linewidth=2, label=name)
        lowest = min([lowest, *precision[FEWEST - 1 :]])
        if kept:
            at = share[kept - 1], precision[kept - 1]
            axes.plot(*at, "o", color=YELLOW, markeredgecolor=INK, markersize=9)
    axes.axhline(ANSWER_PRECISION, color=GREY, linestyle="--", linewidth=1, label=f"{ANSWER_PRECISION:.0%} right")
    axes.set_xlim(0, 1.01)
    axes.set_ylim(max(0.0, lowest - 0.02), 1.005)
    axes.set_xlabel("photos answered with certainty; the dots are the threshold")
    axes.set_ylabel("of these, right")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.legend(frameon=False, labelcolor=INK, loc="lower left")
    return figure


def _curve(
    parts: Sequence[Predictions], thresholds: Thresholds
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """By falling confidence: the share of photos answered and the precision, [M] each; how many reach the threshold."""
    told = [answers(part, Thresholds(0.0, thresholds.unknown)) for part in parts]
    answered = ~np.concatenate([each.unknown for each in told])
    confidence = np.concatenate([part.joint.max(axis=1) for part in parts])[answered]
    right = np.concatenate([each.right for each in told])[answered]
    order = np.argsort(-confidence, kind="stable")
    count = np.arange(1, len(order) + 1)
    kept = int((confidence.astype(np.float64) >= thresholds.abstain).sum())
    return count / len(answered), right[order].cumsum() / count, kept
