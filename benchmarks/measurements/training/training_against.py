"""Training against another checkout: each step of `make train` as its own process, time and CPU time."""

from __future__ import annotations

import functools
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from rich.table import Table

from benchmarks.contenders.checkouts import NEUTRAL, OTHER, THIS, Checkout, require_own_code
from benchmarks.contenders.servers import ROOT
from benchmarks.host.finished_process import run_to_end
from benchmarks.host.interference import Contention, watch_contention
from benchmarks.host.machine import Machine, this_machine
from benchmarks.statistics.goals import Goal
from benchmarks.statistics.samples import Estimate, interleave, median_of, ratio_of_medians
from runtime.errors import Refusal
from runtime.host.cpu import available_cpus
from training.recipe import Recipe

FIT, WHOLE = "fit", "make train"
FIT_SHARE, WHOLE_SHARE = 0.8, 1.2  # of the other's time, at most
GATED = "the model did not pass"  # a model may fail its gates; the time was spent


class Spent(msgspec.Struct, frozen=True):
    """What one step took: seconds on the clock, and of CPU in all its processes."""

    wall_s: float
    cpu_s: float


class Round(msgspec.Struct, frozen=True):
    """One whole training: its steps in order, and the accuracy 0..1 on the validation photos."""

    steps: dict[str, Spent]
    accuracy: float


class StepRow(msgspec.Struct, frozen=True):
    """One step: medians of this checkout, and ratios of the medians of both."""

    step: str
    wall_s: Estimate
    cpu_s: Estimate
    wall_ratio: Estimate
    cpu_ratio: Estimate


class TrainingAgainstResult(msgspec.Struct, frozen=True):
    """`rounds` are those of this checkout and of the one in the folder `against`, round by round."""

    machine: Machine
    neighbours: Contention
    photos: str
    image_size: int
    epochs: int
    against: str
    rounds: dict[str, list[Round]]
    rows: list[StepRow]
    goals: list[Goal]


def measure_against(against: Path, photos: Path, recipe: Recipe, *, rounds: int, whole: bool) -> TrainingAgainstResult:
    """Have both checkouts train on the class folders in `photos` in turn, each round from nothing.

    Without `whole`, evaluation and export are left out. Raises Refusal where `against` is no checkout, and where a step
    fails.
    """
    if not photos.is_dir():
        raise Refusal(f"{photos}: is not a folder; name one of class folders with --photos")
    with tempfile.TemporaryDirectory() as folder, watch_contention(available_cpus()) as watch:
        contenders = {
            name: functools.partial(_round, _own(name, at, Path(folder)), photos.resolve(), recipe, whole=whole)
            for name, at in ((THIS, ROOT), (OTHER, against.resolve()))
        }
        samples = interleave(contenders, rounds, warm_up=0, what="train in turn")
    rows = step_rows(samples)
    return TrainingAgainstResult(
        machine=this_machine(),
        neighbours=watch.seen,
        photos=str(photos),
        image_size=recipe.image_size,
        epochs=recipe.epochs,
        against=str(against),
        rounds=samples,
        rows=rows,
        goals=step_goals(rows, rounds),
    )


def _own(name: str, checkout: Path, cache: Path) -> Path:
    require_own_code(Checkout(name, checkout, None).alone(cache))
    return checkout


def _round(checkout: Path, photos: Path, recipe: Recipe, *, whole: bool) -> Round:
    with tempfile.TemporaryDirectory() as folder:
        raw, data, out, report = (Path(folder, name) for name in ("raw", "processed", "training", "report"))
        spent = {
            "fetch": _step(checkout, "training", "fetch", "--source", photos, "--out", raw),
            "prepare": _step(checkout, "training", "prepare", "--raw", raw, "--out", data),
            FIT: _step(checkout, "training", "fit", "--data", data, "--out", out, *_recipe(recipe)),
        }
        (checkpoint,) = out.glob("*.pt")
        of = ("--data", data, "--checkpoint", checkpoint)
        evaluated = _step(checkout, "training", "evaluate", *of, "--out", report)
        if whole:
            spent["evaluate"] = evaluated
            spent["build"] = _step(checkout, "export", "build", *of, "--out", Path(folder, "bundles"))
            spent[WHOLE] = Spent(sum(one.wall_s for one in spent.values()), sum(one.cpu_s for one in spent.values()))
        return Round(spent, float(json.loads((report / "metrics.json").read_bytes())["accuracy"]["value"]))


def _recipe(recipe: Recipe) -> list[str | int]:
    return ["--image-size", recipe.image_size, "--epochs", recipe.epochs, "--seed", recipe.seed, "--weights",
            recipe.weights]  # fmt: skip


def _step(checkout: Path, *words: str | int | Path) -> Spent:
    """Run `python -m` with `words` on the checkout's own code; raises Refusal with the last line of what fails."""
    environment = os.environ | NEUTRAL | {"PYTHONPATH": str(checkout)}
    ended = run_to_end([sys.executable, "-m", *map(str, words)], environment, checkout)
    if ended.status and GATED not in ended.said:
        last = ended.said.splitlines()[-1:] or ["it said nothing"]
        raise Refusal(f"{checkout}: python -m {' '.join(map(str, words[:2]))} failed: {last[0]}")
    return Spent(ended.wall_s, ended.cpu_s)


def step_rows(samples: Mapping[str, Sequence[Round]]) -> list[StepRow]:
    """The rows, from the rounds of THIS and OTHER."""
    ours, theirs = samples[THIS], samples[OTHER]
    rows = []
    for step in ours[0].steps:
        wall, cpu = (
            [[getattr(one.steps[step], figure) for one in rounds] for rounds in (ours, theirs)]
            for figure in ("wall_s", "cpu_s")
        )
        ratios = ratio_of_medians(*wall), ratio_of_medians(*cpu)
        rows.append(StepRow(step, median_of(wall[0]), median_of(cpu[0]), *ratios))
    return rows


def step_goals(rows: Sequence[StepRow], rounds: int) -> list[Goal]:
    """What a training may take of the other checkout's time."""
    limits = {FIT: FIT_SHARE, WHOLE: WHOLE_SHARE}
    return [
        Goal(f"{row.step}: {what} over the other's", ratio, "at most", limits[row.step], rounds)
        for row in rows
        if row.step in limits
        for what, ratio in (("time", row.wall_ratio), ("CPU time", row.cpu_ratio))
    ]


def against_table(result: TrainingAgainstResult) -> Table:
    """One line a step."""
    rounds = len(result.rounds[THIS])
    table = Table(
        title=f"Training at {result.image_size} px, {result.epochs} epochs ({result.photos}; {rounds} rounds)"
    )
    for column in ("", "s", "CPU s", "time over the other's", "CPU over the other's"):
        table.add_column(column, justify="right" if column else "left")
    for row in result.rows:
        ratios = (
            f"{ratio.value:.3f} ({ratio.low:.3f} to {ratio.high:.3f})" for ratio in (row.wall_ratio, row.cpu_ratio)
        )
        table.add_row(row.step, f"{row.wall_s.value:.1f}", f"{row.cpu_s.value:.1f}", *ratios)
    return table


def accuracies(result: TrainingAgainstResult) -> str:
    """The validation accuracy of each round."""
    return "\n".join(
        f"validation accuracy, {name}: {', '.join(f'{one.accuracy:.4f}' for one in rounds)}"
        for name, rounds in result.rounds.items()
    )
