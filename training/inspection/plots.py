"""Plots of an inspection: the learning curve, and how large the photos are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from training.evaluation.plots.axes import titled
from training.evaluation.plots.palette import GREEN, GREY, INK, YELLOW
from training.inspection.learning_curve import LearningCurve


def curve_plot(curve: LearningCurve) -> Figure:
    """Accuracy by number of photos with its interval, dashed beyond what was measured."""
    figure, axes = titled(9.2, 3.6, "Accuracy by number of photos")
    now = curve.measured[-1].photos
    photos = np.array([point.photos for point in curve.line])
    accuracy = np.array([point.accuracy for point in curve.line])
    low, high = (np.array([getattr(point, side) for point in curve.line]) for side in ("low", "high"))
    axes.fill_between(photos, low, high, color=GREEN, alpha=0.12, linewidth=0)
    axes.plot(photos[photos <= now], accuracy[photos <= now], color=GREEN, linewidth=2)
    axes.plot(photos[photos >= now], accuracy[photos >= now], "--", color=GREEN, linewidth=2, label="expected")
    errors = [[point.accuracy - point.low for point in curve.measured], [p.high - p.accuracy for p in curve.measured]]
    axes.errorbar(
        [point.photos for point in curve.measured],
        [point.accuracy for point in curve.measured],
        np.clip(errors, 0, None),
        fmt="o", color=INK, ecolor=GREY, markerfacecolor=YELLOW, markeredgecolor=INK, markersize=8, label="measured",
    )  # fmt: skip
    twice = curve.twice
    axes.plot(twice.photos, twice.accuracy, "o", color="white", markeredgecolor=GREEN, markersize=8, markeredgewidth=2)
    axes.annotate(
        f"{twice.accuracy:.1%}", (twice.photos, twice.accuracy), (0, 9), textcoords="offset points", ha="center",
        color=INK, fontweight="bold",
    )  # fmt: skip
    axes.axvline(now, color=GREY, linewidth=1, linestyle=":")
    axes.set_xlabel("photos to learn from (the dotted line: what you have)")
    axes.set_ylabel("named right")
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_ylim(max(0, min(low.min(), *(point.low for point in curve.measured)) - 0.03), 1.01)
    axes.set_yticks([share for share in axes.get_yticks() if share <= 1])
    axes.set_xlim(0, twice.photos * 1.05)
    axes.legend(frameon=False, loc="lower right")
    return figure


def sides_plot(sides: Sequence[int]) -> Figure:
    """How many photos have which shorter side, in px; logarithmic."""
    figure, axes = titled(9.2, 2.4, "Shorter side of the photos, px")
    low, high = min(sides), max(*sides, min(sides) * 2)
    axes.hist(sides, bins=np.geomspace(low, high * 1.01, 28).tolist(), color=GREEN, edgecolor="white", linewidth=0.5)
    axes.set_xscale("log", base=2)
    ticks = [side for side in (32, 64, 128, 224, 512, 1024, 2048, 4096, 8192) if low / 1.5 <= side <= high * 1.5]
    axes.set_xticks(ticks, [str(side) for side in ticks])
    axes.minorticks_off()
    if low / 1.5 <= 224 <= high * 1.5:
        axes.axvline(224, color=YELLOW, linewidth=2, label="224 px, the usual input")
        axes.legend(frameon=False)
    axes.set_ylabel("photos")
    return figure
