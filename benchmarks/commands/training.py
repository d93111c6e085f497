"""Command `python -m benchmarks training`: training time."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median

import click

from benchmarks.commands.options import make, out_option

DATA = Path("var/data/processed")


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help=f"A prepared dataset; {DATA} if not given, or 400 drawn photos where that is not there.",
)
@click.option("--image-size", type=click.IntRange(32, 512), default=224, envvar="IMAGE_SIZE", show_envvar=True)
@click.option("--epochs", type=click.IntRange(min=1), default=5, envvar="EPOCHS", show_envvar=True)
@click.option("--weights", default="imagenet", help="imagenet, none, or the path of a ResNet18 state dict.")
@click.option("--seed", type=int, default=42)
@click.option("--repeat", type=click.IntRange(min=1), default=1, help="Runs of each loop, in turn.")
@out_option
def training(data: Path | None, image_size: int, epochs: int, weights: str, seed: int, repeat: int, out: Path) -> None:
    """Time whole training runs against a plain FP32 loop, photos on disk to network.

    The plain loop decodes each photo in each epoch and trains every layer in batches of 32, as the replaced stack did.
    Ours decodes each photo once, and that counts. A run of 5 epochs takes minutes; `--epochs 1` is quicker and
    flatters the plain loop, which prepares nothing.
    """
    from benchmarks.contenders.photos import drawn_dataset
    from benchmarks.host.interference import describe_contention
    from benchmarks.host.machine import describe
    from benchmarks.measurements.training import measure_training, training_verdict
    from runtime.bundle.manifest import to_json
    from training.data.dataset import MANIFEST, Dataset
    from training.learning.fit import Recipe

    make(out)
    with tempfile.TemporaryDirectory() as folder:
        if data is None and not (DATA / MANIFEST).exists():
            dataset, source = drawn_dataset(Path(folder)), "drawn photos: their accuracy means nothing"
        else:
            dataset, source = Dataset.open(data or DATA), "prepared photos"
        recipe = Recipe(image_size, epochs, seed, weights)
        result = measure_training(dataset, recipe, source=source, repeat=repeat)
    (out / "training.json").write_bytes(to_json(result))
    plain, ours = median(result.plain_s), median(result.ours_s)
    click.echo(f"{describe(result.machine)}; {describe_contention(result.neighbours)}")
    epochs_run = f"{result.epochs} epoch{'s' if result.epochs > 1 else ''}"
    click.echo(f"{epochs_run} at {result.image_size} px, {result.photos} {result.source}")
    click.echo(f"  plain FP32 loop   {plain:7.1f} s   accuracy {median(result.plain_accuracy):.4f}")
    click.echo(
        f"  this repository   {ours:7.1f} s   accuracy {median(result.ours_accuracy):.4f}   ({result.precision})"
    )
    click.echo(f"{training_verdict(result)}\nmade {out / 'training.json'}")
