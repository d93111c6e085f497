"""Plot of the unknown class: how its probability tells other things from photos of the labels."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from training.evaluation.plots.axes import titled
from training.evaluation.plots.palette import GREEN, GREY, INK, YELLOW
from training.metrics.scores import Predictions

_BINS = 40


def unknown_plot(said: Predictions, threshold: float) -> Figure:
    """Histograms of the probability that a photo shows none of the classes, each side's in shares of its photos."""
    figure, axes = titled(9.2, 3.0, "How sure it is that a photo shows none of the classes")
    if said.unknown is not None:
        other = said.truth >= len(said.labels)
        for rows, colour, name in ((~other, GREEN, "photos of the classes"), (other, GREY, "other things")):
            if not rows.any():
                continue
            shares = np.full(int(rows.sum()), 1 / rows.sum())
            axes.hist(said.unknown[rows], bins=_BINS, range=(0, 1), weights=shares, color=colour, alpha=0.7, label=name)
    axes.axvline(threshold, color=YELLOW, linewidth=2, label=f"unknown from here on ({threshold:.2f})")
    axes.set_xlim(-0.01, 1.01)
    axes.set_xlabel("probability of the unknown class")
    axes.set_ylabel("photos")
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.legend(frameon=False, labelcolor=INK)
    return figure
