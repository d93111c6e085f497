"""Figures and axes in the look that all plots share."""

from __future__ import annotations

import base64
import io

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.evaluation.plots.palette import GREY, GRID, INK

matplotlib.rcParams["svg.hashsalt"] = "dandelion"  # the same figures are the same bytes


def canvas(width: float, height: float) -> Figure:
    """An empty figure of so many inches."""
    return Figure(figsize=(width, height), dpi=150, layout="constrained", facecolor="white")


def titled(width: float, height: float, title: str) -> tuple[Figure, Axes]:
    """A figure of one plot."""
    figure = canvas(width, height)
    axes = figure.add_subplot()
    style(axes, title)
    return figure, axes


def style(axes: Axes, title: str | None = None) -> None:
    """Give axes the common look."""
    if title is not None:
        axes.set_title(title, loc="left", color=INK, fontsize=12, fontweight="bold")
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color(GREY)
    axes.tick_params(colors=INK)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)


def as_svg(figure: Figure) -> str:
    """The figure as an SVG in a data URI, for pages that stand alone."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    return "data:image/svg+xml;base64," + base64.b64encode(text[text.index("<svg") :].encode()).decode()
