"""Teaching: time, memory and accuracy, in one run."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec
import numpy as np
from rich.table import Table

from benchmarks.host.interference import Contention, watch_contention
from benchmarks.host.machine import Machine, this_machine
from benchmarks.measurements.teaching.accuracy import (
    ALL,
    FEW,
    Accuracies,
    accuracy_goals,
    few_trials,
    fold_trials,
    measure_accuracy,
    require_photos,
)
from benchmarks.measurements.teaching.features import collected, draw_classes, fp32_features
from benchmarks.measurements.teaching.times import Clicks, Taken, measure_clicks, measure_commands, time_goals
from benchmarks.statistics.goals import Goal
from benchmarks.statistics.samples import mean_of, median_of
from runtime.host.cpu import available_cpus
from runtime.teaching.backbone import Backbone, default_backbone
from training.model.network import WeightsError


class Effort(msgspec.Struct, frozen=True):
    """How long to measure: rounds of the commands, epochs of what they are compared with, seeds of folds, draws of a
    few photos, and the drawn sets of (classes, photos of each).
    """

    rounds: int
    epochs: int
    seeds: int
    draws: int
    sets: list[tuple[int, int]]


class TeachResult(msgspec.Struct, frozen=True):
    """All figures; `without_fp32` is why there are none of FP32 features, None if there are."""

    machine: Machine
    neighbours: Contention
    photos: str
    backbone: str
    effort: Effort
    commands: dict[str, list[Taken]]
    clicks: Clicks
    accuracies: list[Accuracies]
    without_fp32: str | None
    goals: list[Goal]


def measure_teaching(photos: Path, effort: Effort) -> TeachResult:
    """Measure the backbone of this package on the class folders in `photos`. Raises Refusal."""
    folder = default_backbone()
    backbone = Backbone.open(folder)
    with watch_contention(available_cpus()) as watch:
        examples, files = collected(photos, backbone)
        require_photos(examples)
        clicks = measure_clicks(examples, folder, effort.rounds)
        commands = measure_commands(photos, effort.rounds, effort.epochs)
    compared, why = None, None
    try:
        compared = fp32_features(files, backbone.spec)
    except WeightsError as error:
        why = str(error)
    trials = {ALL: fold_trials(examples.truth, effort.seeds)}
    trials |= {f"{each} photos a class": few_trials(examples.truth, each, effort.draws) for each in FEW}
    public = [measure_accuracy(name, examples, backbone, each, compared) for name, each in trials.items()]
    many = [_drawn_set(backbone, *each) for each in effort.sets]
    return TeachResult(
        machine=this_machine(),
        neighbours=watch.seen,
        photos=str(photos),
        backbone=backbone.record.version,
        effort=effort,
        commands=commands,
        clicks=clicks,
        accuracies=[*public, *many],
        without_fp32=why,
        goals=[*time_goals(commands, clicks), *accuracy_goals(public, many)],
    )


def _drawn_set(backbone: Backbone, classes: int, each: int) -> Accuracies:
    """Drawn classes, with scikit-learn on the same features of both views."""
    with tempfile.TemporaryDirectory() as folder:
        examples, _ = collected(draw_classes(Path(folder), classes, each), backbone)
    compared = (examples.features * backbone.scale).astype(np.float32)
    return measure_accuracy(
        f"{classes} drawn classes of {each}", examples, backbone, fold_trials(examples.truth, 1), compared
    )


def efforts_table(result: TeachResult) -> Table:
    """One line a command: the medians."""
    table = Table(title=f"Teaching from the photos in {result.photos} ({result.effort.rounds} rounds)")
    for column in ("", "s", "CPU s", "MB"):
        table.add_column(column, justify="right" if column else "left")
    for name, taken in result.commands.items():
        walls, cpus, peaks = ([getattr(one, part) for one in taken] for part in ("wall_s", "cpu_s", "peak_bytes"))
        table.add_row(
            name,
            *(f"{median_of(part).value:.1f}" for part in (walls, cpus)),
            f"{median_of(peaks).value / 1e6:.0f}",
        )
    table.add_row("from the click, features ready", f"{median_of(result.clicks.click_s).value:.2f}", "", "")
    table.add_row("with ten photos more", f"{median_of(result.clicks.again_s).value:.2f}", "", "")
    return table


def accuracies_table(result: TeachResult) -> Table:
    """One line a set of trials: the means."""
    table = Table(title=f"Accuracy on photos that were not learned from, backbone {result.backbone}")
    for column in ("", "trials", "taught", "scikit-learn", "C", "difference, paired"):
        table.add_column(column, justify="right" if column else "left")
    for one in result.accuracies:
        cells = ["-"] * 3
        if one.theirs:
            gap = one.difference
            cells = [
                f"{mean_of(one.theirs).value:.4f}",
                f"{one.strength:g}",
                f"{gap.value:+.4f} ({gap.low:+.4f} to {gap.high:+.4f})",
            ]
        table.add_row(one.name, str(len(one.ours)), f"{mean_of(one.ours).value:.4f}", *cells)
    return table
