"""Results for people: a table on the terminal, a plot for the README, a sentence that says how far to trust them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from rich.table import Table

from benchmarks.latency import INT8, PHONE_PHOTO, PHOTOS, LatencyResult, Row
from benchmarks.neighbours import Neighbours
from benchmarks.samples import FEWEST, Estimate, ratio_of_medians
from benchmarks.training import TrainingResult

INK, GREY, GREEN, YELLOW, PAPER = "#22301c", "#b3ab97", "#3f7d3a", "#e3a60b", "#fbf9f3"
TITLES = {PHOTOS: "Photos", PHONE_PHOTO: "12-megapixel phone photo"}


def latency_table(result: LatencyResult) -> Table:
    """One line a contender, threads and kind of photo."""
    table = Table(title=f"JPEG bytes to label, ms (bundle {result.bundle}; {result.photos})")
    for column in ("photos", "threads", "", "px", "decode", "infer", "median", "95 % interval", "p95", "faster"):
        table.add_column(column, justify="left" if column in {"photos", ""} else "right")
    for row in result.rows:
        table.add_row(
            row.photos,
            str(row.threads),
            row.name,
            str(row.image_size),
            f"{row.decode_ms:.2f}",
            f"{row.infer_ms:.2f}",
            f"{row.total.value:.2f}",
            f"{row.total.low:.2f} to {row.total.high:.2f}",
            "" if row.p95_ms is None else f"{row.p95_ms:.2f}",
            "" if result.neighbours.crowded else f"{row.speedup.value:.1f} x",
            end_section=row.name == INT8,
        )
    return table


def times(estimate: Estimate, neighbours: Neighbours, rounds: int) -> str:
    """A ratio with its interval, and the reason where it must not be quoted."""
    text = f"{estimate.value:.1f} times (95 % interval {estimate.low:.1f} to {estimate.high:.1f})"
    if neighbours.crowded:
        return f"{text}: NOT TO BE QUOTED, {crowd(neighbours)}"
    if rounds < FEWEST:
        return f"{text}: too few rounds to quote, measure with --rounds {FEWEST} or more"
    if not estimate.differs:
        return f"{text}: no difference shown, measure again with more --rounds"
    return text if estimate.clear else f"{text}: too noisy to quote, measure again with more --rounds"


def crowd(neighbours: Neighbours) -> str:
    """What the others did, and the remedy."""
    if neighbours.busy_cores is None:
        return "this system does not say what else was running"
    text = f"other programs used {neighbours.busy_cores:.1f} of {neighbours.host_cores} cores meanwhile"
    return f"{text}; stop them and measure again" if neighbours.crowded else text


def training_verdict(result: TrainingResult) -> str:
    """Our share of the plain loop's time, with an interval where there are runs enough for one."""
    runs = len(result.ours_s)
    text = f"ratio {result.ratio:.2f}"
    if runs >= FEWEST:
        share = ratio_of_medians(result.ours_s, result.plain_s)
        text += f" (95 % interval {share.low:.2f} to {share.high:.2f})"
    else:
        text += f" ({runs} run{'s' if runs > 1 else ''} of each: no interval, that takes --repeat {FEWEST})"
    return f"{text}: NOT TO BE QUOTED, {crowd(result.neighbours)}" if result.neighbours.crowded else text


def latency_plot(result: LatencyResult, file: Path) -> None:
    """Stages stacked to bars: kinds of photo side by side, numbers of threads below one another."""
    threads = sorted({row.threads for row in result.rows})
    figure = Figure(figsize=(9.6, 1.45 * len(threads) + 1.5), dpi=160, layout="constrained", facecolor=PAPER)
    figure.get_layout_engine().set(h_pad=0.09, w_pad=0.09, wspace=0.04)  # type: ignore[union-attr,call-arg]
    grid = figure.subplots(len(threads), 2, sharex="col", squeeze=False)
    for count, line in zip(threads, grid, strict=True):
        for axes, kind in zip(line, (PHOTOS, PHONE_PHOTO), strict=True):
            _bars(axes, [row for row in result.rows if (row.threads, row.photos) == (count, kind)])
        line[0].set_ylabel(f"{count} thread{'s' if count > 1 else ''}", color=INK, fontweight="bold", labelpad=10)
        line[1].set_yticklabels([])
    for axes, kind in zip(grid[0], (PHOTOS, PHONE_PHOTO), strict=True):
        axes.set_title(TITLES[kind], loc="left", color=INK, fontsize=10)
    for axes in grid[-1]:
        axes.set_xlabel("milliseconds, median", color=INK, fontsize=9)
    figure.suptitle("From JPEG bytes to label", x=0.015, ha="left", color=INK, fontweight="bold", fontsize=14)
    figure.legend(
        handles=[Patch(color=GREY, label="decode"), Patch(color=GREEN, label="infer"),
                 Patch(color=YELLOW, label="infer, this bundle")],
        loc="outside upper right", ncols=3, frameon=False, labelcolor=INK, fontsize=9,
    )  # fmt: skip
    warning = f"Not to be quoted: {crowd(result.neighbours)}. " if result.neighbours.crowded else ""
    footer = (
        f"{warning}{result.machine.cpu}, {result.machine.cores} cores. {result.photos[0].upper()}{result.photos[1:]}."
    )
    figure.supxlabel(footer, x=0.015, ha="left", color=INK, fontsize=8)
    figure.savefig(file)


def _bars(axes: Axes, rows: Sequence[Row]) -> None:
    for position, row in enumerate(rows):
        ours = row.name == INT8
        axes.barh(position, row.decode_ms, color=GREY, height=0.6)
        axes.barh(position, row.infer_ms, left=row.decode_ms, color=YELLOW if ours else GREEN, height=0.6)
        axes.annotate(
            f"{row.total.value:.1f} ms",
            (row.decode_ms + row.infer_ms, position),
            (6, 0),
            textcoords="offset points",
            va="center",
            color=INK,
            fontsize=9,
            fontweight="bold" if ours else "normal",
        )
    axes.set_yticks(range(len(rows)), [f"{row.name}, {row.image_size} px" for row in rows], color=INK, fontsize=9)
    axes.invert_yaxis()
    axes.margins(x=0.22)
    axes.set_facecolor(PAPER)
    axes.grid(axis="x", color=INK, alpha=0.12, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(GREY)
    axes.tick_params(length=0, colors=INK, labelsize=9)
