"""Command `python -m benchmarks training`: training time."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import click

from benchmarks.commands.options import keep, make, out_option, photos_option, show
from runtime.errors import Refusal
from training import options
from training.recipe import DEFAULT_EPOCHS, DEFAULT_IMAGE_SIZE, Recipe

if TYPE_CHECKING:
    from benchmarks.measurements.training.training_time import TrainingResult

DATA = options.PROCESSED


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help=f"A prepared dataset; {DATA} if not given, or 400 drawn photos where that is not there.",
)
@click.option("--image-size", default=str(DEFAULT_IMAGE_SIZE), callback=options.side, help="Of both, px.")
@options.epochs
@options.weights
@options.seed
@click.option("--repeat", type=click.IntRange(min=1), default=1, help="Runs of each loop, in turn.")
@click.option(
    "--against",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of another checkout, an older commit say: instead of the plain loop, its whole `make train` on the "
    "folders of --photos.",
)
@click.option("--fit-only", is_flag=True, help="With --against: leave evaluation and export out.")
@photos_option
@out_option
def training(
    *, data: Path | None, image_size: int, epochs: int | None, weights: str, seed: int, repeat: int,
    against: Path | None, fit_only: bool, photos: Path | None, out: Path,
) -> None:  # fmt: skip
    """Time whole training runs against a plain FP32 loop, photos on disk to network.

    The plain loop decodes each photo in each epoch and trains every layer in batches of 32, as the replaced stack did.
    Ours decodes each photo once, and that counts. A run of 5 epochs takes minutes; `--epochs 1` is quicker and
    flatters the plain loop, which prepares nothing.

    With `--against` the steps of `make train` are timed in both checkouts in turn, each as its own process that begins
    with nothing: on the clock, and CPU time, which other programs disturb less.
    """
    make(out)
    recipe = Recipe(image_size, epochs or DEFAULT_EPOCHS, seed, weights)
    if against is None:
        _against_plain_loop(data, recipe, repeat, out)
        return
    if photos is None:
        raise Refusal("--against trains on photos in class folders; name them with --photos (DANDELION_PHOTOS)")
    _against_checkout(against, photos, recipe, repeat, whole=not fit_only, out=out)


def _against_checkout(against: Path, photos: Path, recipe: Recipe, repeat: int, *, whole: bool, out: Path) -> None:
    from benchmarks.host.interference import describe_contention
    from benchmarks.host.machine import describe
    from benchmarks.measurements.training.training_against import accuracies, against_table, measure_against
    from benchmarks.statistics.goals import goals_table

    result = measure_against(against, photos, recipe, rounds=repeat, whole=whole)
    keep(result, out / "training-against.json")
    show(against_table(result), goals_table("Figures to reach", result.goals, result.neighbours, "--repeat"))
    click.echo(f"{accuracies(result)}\n{describe(result.machine)}; {describe_contention(result.neighbours)}")
    click.echo(f"made {out / 'training-against.json'}")


def _against_plain_loop(data: Path | None, recipe: Recipe, repeat: int, out: Path) -> None:
    from benchmarks.contenders.photos import drawn_dataset
    from benchmarks.measurements.training.training_time import measure_training
    from runtime.bundle.manifest import to_json
    from training.data.dataset import MANIFEST, Dataset

    with tempfile.TemporaryDirectory() as folder:
        if data is None and not (DATA / MANIFEST).exists():
            dataset, source = drawn_dataset(Path(folder)), "drawn photos: their accuracy means nothing"
        else:
            dataset, source = Dataset.open(data or DATA).of_classes(), "prepared photos"
        result = measure_training(dataset, recipe, source=source, repeat=repeat)
    (out / "training.json").write_bytes(to_json(result))
    _say(result, out)


def _say(result: TrainingResult, out: Path) -> None:
    from benchmarks.host.interference import describe_contention
    from benchmarks.host.machine import describe
    from benchmarks.measurements.training.training_time import training_verdict

    plain, ours = median(result.plain_s), median(result.ours_s)
    click.echo(f"{describe(result.machine)}; {describe_contention(result.neighbours)}")
    epochs_run = f"{result.epochs} epoch{'s' if result.epochs > 1 else ''}"
    click.echo(f"{epochs_run} at {result.image_size} px, {result.photos} {result.source}")
    click.echo(f"  plain FP32 loop   {plain:7.1f} s   accuracy {median(result.plain_accuracy):.4f}")
    click.echo(
        f"  this repository   {ours:7.1f} s   accuracy {median(result.ours_accuracy):.4f}   ({result.precision})"
    )
    click.echo(f"{training_verdict(result)}\nmade {out / 'training.json'}")
