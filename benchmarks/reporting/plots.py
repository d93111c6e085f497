"""Plots of the results, each a PNG for the README and for the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from benchmarks.host.interference import Contention, describe_contention
from benchmarks.host.machine import Machine
from benchmarks.measurements.inference.latency import INT8, PHONE_PHOTO, PHOTOS, LatencyResult
from benchmarks.measurements.inference.latency import Row as LatencyRow
from benchmarks.measurements.serving.footprint import FootprintResult
from benchmarks.measurements.serving.load import LoadResult, Point, Served
from benchmarks.measurements.serving.page import ALONE, WATCHED, PageResult
from benchmarks.peers.measure import PeersResult, Row
from benchmarks.statistics.samples import median_of
from training.evaluation.plots.palette import BLUE, CLASS_COLOURS, GREEN, GREY, INK, PAPER, YELLOW

TITLES = {PHOTOS: "Photos", PHONE_PHOTO: "12-megapixel phone photo"}
CURVE = np.linspace(0, 0.999, 400)


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
    warning = f"Unreliable: {describe_contention(result.neighbours)}. " if result.neighbours.contended else ""
    footer = (
        f"{warning}{result.machine.cpu}, {result.machine.cores} cores. {result.photos[0].upper()}{result.photos[1:]}."
    )
    figure.supxlabel(footer, x=0.015, ha="left", color=INK, fontsize=8)
    figure.savefig(file)


def _bars(axes: Axes, rows: Sequence[LatencyRow]) -> None:
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


def load_plot(result: LoadResult, file: Path) -> None:
    """Throughput against concurrency, and how the latencies of each way of loading are distributed."""
    count = len(result.served)
    figure = sheet("The appliance under load", 4.2 * count, result.machine, result.neighbours)
    grid = figure.subplots(count, 3, squeeze=False)
    for served, (left, middle, right) in zip(result.served, grid, strict=True):
        _throughput(left, served)
        _stages(middle, served)
        _latencies(right, served)
    figure.savefig(file)


def _throughput(axes: Axes, served: Served) -> None:
    points = [point for point in served.points if point.clients is not None]
    clients = [point.clients or 0 for point in points]
    middle = [point.photos_per_s.value for point in points]
    axes.plot(clients, middle, color=YELLOW, marker="o", linewidth=2)
    axes.fill_between(clients, [point.photos_per_s.low for point in points],
                      [point.photos_per_s.high for point in points], color=YELLOW, alpha=0.25)  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_xticks(clients, [str(count) for count in clients])
    axes.set_ylim(bottom=0)
    dress(axes, f"{served.image_size} px: throughput", "clients", "photos per second")


def _stages(axes: Axes, served: Served) -> None:
    """The distribution of each stage at the fewest clients."""
    alone = min((point for point in served.points if point.clients), key=lambda point: point.clients or 0)
    stages: dict[str, list[float]] = {}
    for burst in alone.bursts:
        for stage, values in burst.stages_ms.items():
            stages.setdefault(stage, []).extend(values)
    stages["over HTTP"] = _accepted(alone)
    for colour, (stage, values) in zip((GREY, GREEN, BLUE, YELLOW), stages.items(), strict=False):
        if values:
            axes.plot(100 * CURVE, np.quantile(values, CURVE), color=colour, label=stage, linewidth=1.6)
    axes.set_yscale("log")
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="upper left")
    dress(axes, f"{served.image_size} px: stages, {alone.name}", "percentile", "milliseconds")


def _latencies(axes: Axes, served: Served) -> None:
    for colour, point in zip(CLASS_COLOURS, served.points, strict=False):
        latencies = _accepted(point)
        if latencies:
            axes.plot(100 * CURVE, np.quantile(latencies, CURVE), color=colour, label=point.name, linewidth=1.6)
    axes.set_yscale("log")
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="center left", bbox_to_anchor=(1, 0.5))
    dress(axes, f"{served.image_size} px: latency", "percentile", "milliseconds")


def _accepted(point: Point) -> list[float]:
    return [ms for burst in point.bursts for ms in burst.accepted_ms]


def footprint_plot(result: FootprintResult, file: Path) -> None:
    """Memory over requests and over time."""
    figure = sheet("Memory of the appliance", 3.4, result.machine, result.neighbours)
    left, right = figure.subplots(1, 2, sharey=True)
    memory = [look.resident_mb for look in result.memory]
    left.plot([look.requests for look in result.memory], memory, color=GREEN, linewidth=2)
    right.plot([look.seconds for look in result.memory], memory, color=GREEN, linewidth=2)
    left.set_ylim(0, 1.15 * max(memory))
    dress(left, f"{result.image_size} px, mixed requests", "requests", "resident, MB")
    dress(right, "", "seconds", "")
    figure.savefig(file)


def page_plot(result: PageResult, file: Path) -> None:
    """Memory over photos that came through the page; how long clicks took; the API's p99 round by round."""
    figure = sheet("Page and API in one process", 3.4, result.machine, result.neighbours)
    left, middle, right = figure.subplots(1, 3)
    memory = [look.resident_mb for look in result.memory]
    left.plot([look.requests for look in result.memory], memory, color=GREEN, linewidth=2)
    left.set_ylim(0, 1.15 * max(memory))
    dress(left, "Memory", "photos through the page", "resident, MB")
    if result.clicks_ms:
        middle.plot(100 * CURVE, np.quantile(result.clicks_ms, CURVE), color=YELLOW, linewidth=2)
        middle.set_ylim(bottom=0)
    dress(middle, "Clicks beside the API's clients", "percentile", "milliseconds")
    for name, colour in ((ALONE, GREY), (WATCHED, YELLOW)):
        right.plot(range(1, result.rounds + 1), result.p99_ms(name), color=colour, marker="o", label=name)
    right.set_ylim(bottom=0)
    right.legend(frameon=False, fontsize=8, labelcolor=INK, loc="lower right")
    dress(right, "The API's 99th percentile", "round", "milliseconds")
    figure.savefig(file)


def peers_plot(result: PeersResult, file: Path) -> None:
    """Each server in its best setting: throughput by clients, then memory and CPU side by side, named between them."""
    rows = best_settings(result)
    figure = sheet("The same photos, other servers", 0.4 * len(rows) + 1.6, result.machine, result.neighbours)
    left, middle, right = figure.subplots(1, 3, width_ratios=[1.2, 1, 1])
    colours = {id(row): colour for row, colour in zip(rows, (*CLASS_COLOURS, *CLASS_COLOURS), strict=False)}
    for row in rows:
        rates = [row.rate(count).value for count in result.clients]
        left.plot(result.clients, rates, color=colours[id(row)], marker="o")
    left.set_xscale("log", base=2)
    left.set_xticks(result.clients, [str(count) for count in result.clients])
    left.set_ylim(bottom=0)
    dress(left, "Throughput", "clients", "photos per second")
    busy = max(result.clients)
    for axes, title, values in (
        (middle, "Memory, MB", [median_of(row.memory).value for row in rows]),
        (right, "CPU seconds per 1 000 photos", [median_of(row.cpu(busy)).value for row in rows]),
    ):
        bars = axes.barh(range(len(rows)), values, color=[colours[id(row)] for row in rows])
        axes.bar_label(bars, [f"{value:.3g}" for value in values], padding=4, color=INK, fontsize=9)
        axes.margins(x=0.14)
        axes.set_yticks([])
        axes.invert_yaxis()
        dress(axes, title, "", "")
        axes.grid(visible=False, axis="y")
    middle.set_yticks(range(len(rows)), [f"{row.title}, {row.image_size} px" for row in rows])
    figure.savefig(file)


def best_settings(result: PeersResult) -> list[Row]:
    """Of each server and size the setting that answers the most photos with the most clients."""
    busy = max(result.clients)
    best: dict[tuple[str, int], Row] = {}
    for row in result.rows:
        key = (row.name, row.image_size)
        if row.turns and (key not in best or row.rate(busy).value > best[key].rate(busy).value):
            best[key] = row
    return list(best.values())


def sheet(title: str, height: float, machine: Machine, neighbours: Contention) -> Figure:
    """An empty figure with a title, and below what it was measured on."""
    figure = Figure(figsize=(12, height + 0.9), dpi=130, layout="constrained", facecolor=PAPER)
    figure.suptitle(title, x=0.015, ha="left", color=INK, fontweight="bold", fontsize=14)
    warning = f"Unreliable: {describe_contention(neighbours)}. " if neighbours.contended else ""
    figure.supxlabel(f"{warning}{machine.cpu}, {machine.cores} cores.", x=0.015, ha="left", color=INK, fontsize=8)
    return figure


def dress(axes: Axes, title: str, x: str, y: str) -> None:
    """One look for all axes."""
    axes.set_title(title, loc="left", color=INK, fontsize=10)
    axes.set_xlabel(x, color=INK, fontsize=9)
    axes.set_ylabel(y, color=INK, fontsize=9)
    axes.set_facecolor(PAPER)
    axes.grid(color=INK, alpha=0.12, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(length=0, colors=INK, labelsize=9)
