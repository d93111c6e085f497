"""Results for people: a table on the terminal, a plot for the README."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure
from rich.table import Table

from benchmarks.latency import INT8, LatencyResult, Row
from benchmarks.samples import Estimate

INK, GREY, GREEN, YELLOW = "#22301c", "#b9c2b2", "#3f7d3a", "#e3a60b"


def latency_table(result: LatencyResult) -> Table:
    """One line a contender, threads and kind of photo."""
    table = Table(title=f"JPEG bytes to label, ms (bundle {result.bundle}, {result.image_size} px; {result.photos})")
    for column in ("photos", "threads", "", "decode", "infer", "median", "95 % interval", "p95"):
        table.add_column(column, justify="left" if column in {"photos", ""} else "right")
    for row in result.rows:
        table.add_row(
            row.photos,
            str(row.threads),
            row.name,
            f"{row.decode_ms:.2f}",
            f"{row.infer_ms:.2f}",
            f"{row.total.value:.2f}",
            f"{row.total.low:.2f} to {row.total.high:.2f}",
            f"{row.p95_ms:.2f}",
        )
    return table


def times(estimate: Estimate) -> str:
    """A ratio with its interval, and a word where the interval is too wide to quote it."""
    text = f"{estimate.value:.1f} times (95 % interval {estimate.low:.1f} to {estimate.high:.1f})"
    return text if estimate.clear else f"{text}: too noisy to quote, measure again with more --rounds"


def latency_plot(result: LatencyResult, file: Path) -> None:
    """Stages stacked to bars, the replaced stack first."""
    rows = [row for row in result.rows if row.photos == "photos"]
    figure = Figure(figsize=(8.0, 0.55 * len(rows) + 1.3), dpi=160, layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    for position, row in enumerate(rows):
        infer = YELLOW if row.name == INT8 else GREEN
        axes.barh(position, row.decode_ms, color=GREY, height=0.62, label="decode" if position == 0 else None)
        axes.barh(position, row.infer_ms, left=row.decode_ms, color=infer, height=0.62)
        axes.annotate(
            f"{row.total.value:.1f} ms",
            (row.decode_ms + row.infer_ms, position),
            (6, 0),
            textcoords="offset points",
            va="center",
            color=INK,
            fontweight="bold" if row.name == INT8 else "normal",
        )
    axes.set_yticks(range(len(rows)), [_label(row) for row in rows], color=INK)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("milliseconds, median", color=INK)
    axes.set_title("From JPEG bytes to label", loc="left", color=INK, fontweight="bold")
    axes.grid(axis="x", alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False, colors=INK)
    axes.legend(frameon=False, loc="lower right", labelcolor=INK)
    figure.savefig(file)


def _label(row: Row) -> str:
    return f"{row.name}, {row.threads} thread{'s' if row.threads > 1 else ''}"
