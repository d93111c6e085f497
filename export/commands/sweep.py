"""Command `python -m export sweep`: accuracy and latency at several input sizes."""

from __future__ import annotations

from pathlib import Path

import click

from export.commands.options import DATA, min_accuracy_option
from runtime.cli.say import say
from training import options
from training.recipe import SIZES


@click.command()
@click.option("--data", type=click.Path(path_type=Path), default=DATA, help="A prepared dataset.")
@click.option("--sizes", default=",".join(map(str, SIZES)), help="Sides of the square input in px, multiples of 32.")
@click.option("--folds", type=click.IntRange(min=2), default=5)
@options.epochs
@options.seed
@options.weights
@click.option(
    "--narrow",
    "share",
    type=click.FloatRange(0.05, 0.95),
    help="Try each size narrow, too, with this share of the channels inside its blocks (`python -m training narrow`).",
)
@min_accuracy_option
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("var/sweep"), help="Figures, plot and checkpoints."
)
def sweep(
    *,
    data: Path,
    sizes: str,
    folds: int,
    epochs: int | None,
    seed: int,
    weights: str,
    share: float | None,
    min_accuracy: float | None,
    out: Path,
) -> None:
    """Cross-validate several input sizes, as FP32 and INT8, and time each.

    Checkpoints are kept under OUT and used again. The size to ship is the smallest within a point of the best.
    """
    from export.gates.quality_gates import Limits
    from export.sweep.input_sizes import sweep as run_sweep
    from export.sweep.pareto_front import below_floor, draw_front, table
    from runtime.bundle.manifest import to_json
    from training.data.dataset import Dataset
    from training.data.public import is_public
    from training.recipe import Recipe, epochs_for

    sides = _sizes(sizes)
    dataset = Dataset.open(data)
    recipe = Recipe(epochs=epochs_for(epochs, unknown=dataset.has_unknown), seed=seed, weights=weights)
    result = run_sweep(dataset, recipe, sides, folds, out / "checkpoints", share=share)
    (out / "sweep.json").write_bytes(to_json(result))
    draw_front(result, out / "front.png")
    click.echo(table(result))
    if warning := below_floor(result, Limits(min_accuracy).for_data(public=is_public(dataset)).min_accuracy):
        click.echo(warning)
    click.echo(f"made {out / 'sweep.json'} and {out / 'front.png'}")
    say(f"next: IMAGE_SIZE={result.chosen} python -m training fit, then python -m export build")


def _sizes(text: str) -> list[int]:
    try:
        sizes = [int(part) for part in text.split(",")]
    except ValueError:
        sizes = []
    if not sizes or any(size % 32 or not 32 <= size <= 512 for size in sizes):
        raise click.BadParameter(f"{text!r} is not a list of multiples of 32 from 32 to 512", param_hint="--sizes")
    return sizes
