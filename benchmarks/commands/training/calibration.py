"""Command `python -m benchmarks calibration`: is the model as sure as it should be?"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmarks.commands.options import make, out_option, show

if TYPE_CHECKING:
    from rich.table import Table

    from benchmarks.measurements.training.calibration import CalibrationFigures, CalibrationResult
    from training.data.dataset import Dataset

PARTS = 5  # photos of a class at least
SETS = ("2x60", "3x40", "10x10", "10x50", "50x10")


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="A prepared dataset instead of drawn photos.")
@click.option(
    "--set",
    "sets",
    multiple=True,
    default=SETS,
    help="Drawn photos, CLASSESxPHOTOS of each class; may be given several times.",
)
@click.option("--seeds", type=click.IntRange(1, 100), default=5, help="Networks of each set, each with another seed.")
@click.option("--every-fold", is_flag=True, help="Five networks a seed, so that each asks about every photo.")
@click.option("--image-size", type=click.IntRange(32, 512), default=64, help="Side of the input in px.")
@click.option("--epochs", type=click.IntRange(min=1), default=5, envvar="EPOCHS", show_envvar=True)
@click.option("--weights", default="imagenet", help="imagenet, none, or the path of a ResNet18 state dict.")
@out_option
def calibration(
    *,
    data: Path | None,
    sets: tuple[str, ...],
    seeds: int,
    every_fold: bool,
    image_size: int,
    epochs: int,
    weights: str,
    out: Path,
) -> None:
    """Compare mean confidence with accuracy on photos that are held out, for 2 to 50 classes.

    Each network is trained, and its temperature fitted, as `make train` does it, without a fifth of the photos; these
    it is asked about. Photos are drawn flowers of as many species, or those of --data. Minutes on two free cores.
    """
    from benchmarks.measurements.training.calibration import CalibrationResult, measure_calibration
    from runtime.bundle.manifest import to_json
    from training.data.dataset import Dataset
    from training.recipe import Recipe

    wanted = [_shape(each) for each in sets]
    make(out)
    recipe = Recipe(image_size, epochs, weights=weights)

    def measure(name: str, dataset: Dataset) -> CalibrationFigures:
        measured = measure_calibration(name, dataset, recipe, range(seeds), every_fold=every_fold)
        click.echo(
            f"{name}: accuracy {measured.accuracy:.3f}, confidence {measured.confidence:.3f}, gap {measured.gap:+.3f}"
        )
        return measured

    with tempfile.TemporaryDirectory() as folder:
        datasets = [(str(data), Dataset.open(data).of_classes())] if data else _drawn(wanted, Path(folder))
        result = CalibrationResult(image_size, epochs, [measure(*each) for each in datasets])
    (out / "calibration.json").write_bytes(to_json(result))
    show(_table(result, seeds))
    click.echo(f"made {out / 'calibration.json'}")


def _shape(text: str) -> tuple[int, int]:
    classes, times, each = text.partition("x")
    if not (times and classes.isdecimal() and each.isdecimal() and 2 <= int(classes) <= 1000 and int(each) >= PARTS):
        raise click.BadParameter(f"{text!r} is not CLASSESxPHOTOS, as in 10x50; at least 2x{PARTS}", param_hint="--set")
    return int(classes), int(each)


def _drawn(shapes: Sequence[tuple[int, int]], folder: Path) -> Iterator[tuple[str, Dataset]]:
    from benchmarks.contenders.drawn_flowers import flower_dataset

    for classes, each in shapes:
        name = f"{classes}x{each}"
        yield f"{name} drawn flowers", flower_dataset(folder / name, classes, each)


def _table(result: CalibrationResult, seeds: int) -> Table:
    from rich.table import Table

    from benchmarks.measurements.training.calibration import GOAL

    table = Table(title=f"Held-out answers, {seeds} seeds, {result.epochs} epochs at {result.image_size} px")
    for column in ("photos", "classes", "answers", "accuracy", "confidence", "gap", "raw", "ECE, equal mass", "goal"):
        table.add_column(column, justify="left" if column == "photos" else "right")
    for each in result.sets:
        error = "-" if each.equal_mass_error is None else f"{each.equal_mass_error:.3f}"
        cells = (each.accuracy, each.confidence)
        table.add_row(
            each.name,
            str(each.classes),
            str(each.answers),
            *(f"{cell:.3f}" for cell in cells),
            f"{each.gap:+.3f}",
            f"{each.raw_confidence:.3f}",
            error,
            f"{'within' if abs(each.gap) <= GOAL else 'MISSED'} {GOAL:g}",
        )
    return table
