"""`python -m benchmarks`: figures that a reader can repeat."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from runtime.commands import Commands

RESULTS = Path("var/benchmarks")


@click.group(cls=Commands, context_settings={"show_default": True})
def main() -> None:
    """Measure this host, and this product against what it replaces.

    Contenders take turns; figures are medians with intervals. Raw samples are kept as JSON.
    """


@main.command()
@click.option(
    "--bundle", type=click.Path(path_type=Path), envvar="DANDELION_BUNDLE", show_envvar=True, help="Default: ours."
)
@click.option(
    "--photos",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    envvar="DANDELION_PHOTOS",
    show_envvar=True,
    help="Folder of JPEG photos; drawn ones of 275 x 183 px if not given.",
)
@click.option("--rounds", type=click.IntRange(min=5), default=60, help="Turns of each contender.")
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS, help="Folder of the JSON and the plot.")
def latency(bundle: Path | None, photos: Path | None, rounds: int, out: Path) -> None:
    """Time one photo from JPEG bytes to label, in process.

    PyTorch FP32 at 224 px as in the replaced stack, ONNX FP32 and INT8 at the bundle's size, with one thread and all.
    """
    from rich.console import Console

    from benchmarks.latency import measure_latency
    from benchmarks.machine import describe
    from benchmarks.photos import load_photos
    from benchmarks.tables import latency_plot, latency_table, times
    from runtime.bundle import Bundle, to_json
    from runtime.default import default_bundle

    encoded, source = load_photos(photos)
    result = measure_latency(Bundle.open(bundle or default_bundle()), encoded, source, rounds=rounds)
    out.mkdir(parents=True, exist_ok=True)
    (out / "latency.json").write_bytes(to_json(result))
    latency_plot(result, out / "latency.png")
    Console(width=None if sys.stdout.isatty() else 120).print(latency_table(result))
    click.echo(describe(result.machine))
    click.echo(f"all threads: the bundle is faster than the replaced stack {times(result.speedup)}")
    click.echo(f"all threads: the bundle is faster than its FP32 graph {times(result.speedup_fp32)}")
    click.echo(f"made {out / 'latency.json'} and {out / 'latency.png'}")


@main.command()
@click.option("--data", type=click.Path(path_type=Path), default=Path("var/data/processed"), help="A prepared dataset.")
@click.option("--image-size", type=click.IntRange(32, 512), default=224, envvar="IMAGE_SIZE", show_envvar=True)
@click.option("--epochs", type=click.IntRange(min=1), default=5, envvar="EPOCHS", show_envvar=True)
@click.option("--weights", default="imagenet", help="imagenet, none, or the path of a ResNet18 state dict.")
@click.option("--seed", type=int, default=42)
@click.option("--repeat", type=click.IntRange(min=1), default=1, help="Runs of each loop, in turn.")
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS, help="Folder of the JSON.")
def training(data: Path, image_size: int, epochs: int, weights: str, seed: int, repeat: int, out: Path) -> None:
    """Time whole training runs against a plain FP32 loop, photos on disk to network.

    The plain loop decodes each photo in each epoch and trains every layer in batches of 32, as the replaced stack did.
    """
    from benchmarks.machine import describe
    from benchmarks.training import measure_training
    from runtime.bundle import to_json
    from training.dataset import Dataset
    from training.fit import Recipe

    result = measure_training(Dataset.open(data), Recipe(image_size, epochs, seed, weights), repeat=repeat)
    out.mkdir(parents=True, exist_ok=True)
    (out / "training.json").write_bytes(to_json(result))
    plain, ours = sum(result.plain_s) / repeat, sum(result.ours_s) / repeat
    click.echo(describe(result.machine))
    click.echo(f"{result.epochs} epochs at {result.image_size} px, {result.photos} photos")
    click.echo(f"  plain FP32 loop   {plain:7.1f} s   accuracy {result.plain_accuracy:.4f}")
    click.echo(f"  this repository   {ours:7.1f} s   accuracy {result.ours_accuracy:.4f}   ({result.precision})")
    click.echo(f"ratio {result.ratio:.2f}\nmade {out / 'training.json'}")


if __name__ == "__main__":
    sys.exit(main(prog_name="python -m benchmarks"))
