"""Pareto front of accuracy and latency: a table and a plot of the input-size sweep."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from export.sweep.input_sizes import SizeFigures, SweepResult
from training.evaluation.plots.palette import BLUE, GREEN, GREY, INK, YELLOW
from training.metrics.intervals import Interval, proportion_interval

LABEL = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}  # lines pass behind it


def table(result: SweepResult) -> str:
    """Accuracy, F1, agreement and latency of each size; the chosen one is marked."""
    lines = [
        f"{result.folds}-fold cross-validation, {result.epochs} epochs; latency of one photo in one thread",
        "  size   FP32 acc.  INT8 acc.   (95 % interval)  INT8 F1  agreement   FP32 ms  INT8 ms",
    ]
    for size in result.sizes:
        mark = "*" if size.share == 1 and size.image_size == result.chosen else " "
        low, high = _interval(size, result)
        lines.append(
            f"{mark} {size.image_size:4}   {size.fp32.accuracy:9.4f}  {size.int8.accuracy:9.4f}"
            f"   {low:.4f} to {high:.4f}  {size.int8.f1:7.4f}"
            f"  {size.agreement:9.4f}  {size.fp32_ms:8.2f}  {size.int8_ms:7.2f}"
            f"{'' if size.share == 1 else f'  narrow: {size.share:g} of the channels'}"
        )
    return "\n".join([*lines, f"* {result.chosen} px is the smallest size within a point of the best"])


def below_floor(result: SweepResult, floor: float | None) -> str | None:
    """A warning where the chosen size is below the accuracy that `python -m export build` will ask for."""
    (accuracy,) = (size.int8.accuracy for size in result.sizes if size.share == 1 and size.image_size == result.chosen)
    if floor is None or accuracy >= floor:
        return None
    return (
        f"warning: {result.chosen} px reaches {accuracy:.4f}, and `python -m export build` will probably refuse it: "
        f"the floor is {floor:g} (--min-accuracy, DANDELION_MIN_ACCURACY)"
    )


def draw_front(result: SweepResult, file: Path) -> None:
    """Accuracy against latency, one line a precision, one point a size; the chosen point is filled yellow.

    Bars are 95 % intervals of the INT8 figures.
    """
    figure = Figure(figsize=(7.2, 4.4), dpi=160, layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    wide = [size for size in result.sizes if size.share == 1]
    narrow = [size for size in result.sizes if size.share < 1]
    for name, sizes, colour, label in (
        ("fp32", wide, GREY, "FP32"),
        ("int8", wide, GREEN, "INT8"),
        ("int8", narrow, BLUE, "INT8, narrow"),
    ):
        if not sizes:
            continue
        ms = [getattr(size, f"{name}_ms") for size in sizes]
        accuracy = [getattr(size, name).accuracy * 100 for size in sizes]
        axes.plot(ms, accuracy, "-o", color=colour, markerfacecolor="white", markersize=7, label=label)
        for x, y, size in zip(ms, accuracy, sizes, strict=True):
            axes.annotate(f"{size.image_size}", (x, y), (9, 9), textcoords="offset points", color=colour, bbox=LABEL)
            if name == "int8":
                low, high = _interval(size, result)
                axes.vlines(x, low * 100, high * 100, color=colour, alpha=0.3, linewidth=2)
            if name == "int8" and size.share == 1 and size.image_size == result.chosen:
                axes.plot(x, y, "o", color=YELLOW, markeredgecolor=INK, markersize=11, zorder=3, label="default bundle")
    axes.set_xscale("log")
    ticks = [0.5, 1, 2, 3, 5, 10, 20, 30, 50]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
    axes.set_xticks([], minor=True)
    axes.margins(x=0.08, y=0.08)
    axes.set_xlabel("milliseconds for one photo, one thread", color=INK)
    axes.set_ylabel(f"accuracy, % ({result.folds}-fold)", color=INK)
    axes.set_title("Accuracy and latency by input size (px)", loc="left", color=INK, fontweight="bold")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK)
    axes.legend(frameon=False, labelcolor=INK, loc="lower right")
    figure.savefig(file)


def _interval(size: SizeFigures, result: SweepResult) -> Interval:
    return proportion_interval(round(size.int8.accuracy * result.photos), result.photos)
