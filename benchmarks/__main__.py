"""`python -m benchmarks`: figures that a reader can repeat."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from statistics import median

import click

from benchmarks.commands.advise import advise
from benchmarks.commands.batch import batch
from benchmarks.commands.footprint import footprint
from benchmarks.commands.load import load
from benchmarks.commands.options import RESULTS
from benchmarks.commands.options import default_folder as _default_bundle
from benchmarks.commands.options import make as _make
from benchmarks.commands.page import page
from benchmarks.commands.peers import peers
from benchmarks.commands.report import report
from benchmarks.commands.sessions import sessions
from runtime.commands import Commands, Refusal

DATA = Path("var/data/processed")


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
    type=click.Path(path_type=Path),
    envvar="DANDELION_PHOTOS",
    show_envvar=True,
    help="Folder of JPEG photos; drawn ones of 275 x 183 px if not given.",
)
@click.option("--rounds", type=click.IntRange(min=5), default=60, help="Turns of each contender.")
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS, help="Folder of the JSON and the plot.")
def latency(bundle: Path | None, photos: Path | None, rounds: int, out: Path) -> None:
    """Time one photo from JPEG bytes to label, in process.

    PyTorch FP32 at 224 px as in the replaced stack (random weights: they do not change the arithmetic), ONNX FP32 and
    INT8 at the bundle's size, with one thread and all. Keep the machine quiet: what other programs take is measured
    too, and a ratio measured beside a busy one is marked.
    """
    from rich.console import Console

    from benchmarks.latency import measure_latency
    from benchmarks.machine import describe
    from benchmarks.photos import load_photos
    from benchmarks.tables import crowd, latency_plot, latency_table, times
    from runtime.bundle import Bundle, to_json

    opened = Bundle.open(bundle or _default_bundle())
    encoded, source = load_photos(photos)
    _make(out)
    result = measure_latency(opened, encoded, source, rounds=rounds)
    (out / "latency.json").write_bytes(to_json(result))
    latency_plot(result, out / "latency.png")
    Console(width=None if sys.stdout.isatty() else 132).print(latency_table(result))
    click.echo(f"{describe(result.machine)}; {crowd(result.neighbours)}")
    best = f"at its best ({result.replaced_threads} thread{'s' if result.replaced_threads > 1 else ''})"
    ours = f"all threads, {result.image_size} px: the bundle is faster than"
    click.echo(f"{ours} the replaced stack {best} {times(result.speedup, result.neighbours, rounds)}")
    click.echo(f"{ours} its FP32 graph {times(result.speedup_fp32, result.neighbours, rounds)}")
    click.echo(f"made {out / 'latency.json'} and {out / 'latency.png'}")


@main.command()
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
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS, help="Folder of the JSON.")
def training(data: Path | None, image_size: int, epochs: int, weights: str, seed: int, repeat: int, out: Path) -> None:
    """Time whole training runs against a plain FP32 loop, photos on disk to network.

    The plain loop decodes each photo in each epoch and trains every layer in batches of 32, as the replaced stack did.
    Ours decodes each photo once, and that counts. A run of 5 epochs takes minutes; `--epochs 1` is quicker and
    flatters the plain loop, which prepares nothing.
    """
    from benchmarks.machine import describe
    from benchmarks.photos import drawn_dataset
    from benchmarks.tables import crowd, training_verdict
    from benchmarks.training import measure_training
    from runtime.bundle import to_json
    from training.dataset import MANIFEST, Dataset
    from training.fit import Recipe

    _make(out)
    with tempfile.TemporaryDirectory() as folder:
        if data is None and not (DATA / MANIFEST).exists():
            dataset, source = drawn_dataset(Path(folder)), "drawn photos: their accuracy means nothing"
        else:
            dataset, source = Dataset.open(data or DATA), "prepared photos"
        recipe = Recipe(image_size, epochs, seed, weights)
        result = measure_training(dataset, recipe, source=source, repeat=repeat)
    (out / "training.json").write_bytes(to_json(result))
    plain, ours = median(result.plain_s), median(result.ours_s)
    click.echo(f"{describe(result.machine)}; {crowd(result.neighbours)}")
    epochs_run = f"{result.epochs} epoch{'s' if result.epochs > 1 else ''}"
    click.echo(f"{epochs_run} at {result.image_size} px, {result.photos} {result.source}")
    click.echo(f"  plain FP32 loop   {plain:7.1f} s   accuracy {median(result.plain_accuracy):.4f}")
    click.echo(
        f"  this repository   {ours:7.1f} s   accuracy {median(result.ours_accuracy):.4f}   ({result.precision})"
    )
    click.echo(f"{training_verdict(result)}\nmade {out / 'training.json'}")


@main.command()
@click.option(
    "--bundle", type=click.Path(path_type=Path), envvar="DANDELION_BUNDLE", show_envvar=True, help="Default: ours."
)
@click.option(
    "--photos",
    type=click.Path(path_type=Path),
    envvar="DANDELION_PHOTOS",
    show_envvar=True,
    help="Folder of JPEG photos; drawn ones if not given.",
)
@click.option("--sample", type=click.IntRange(min=1), default=400, help="Photos to enlarge, a second or two each.")
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS, help="Folder of the JSON.")
def decode(bundle: Path | None, photos: Path | None, sample: int, out: Path) -> None:
    """Decode photos enlarged to 12 megapixels, at scale and in full, and compare times and predicted labels."""
    from rich.console import Console

    from benchmarks.decoding import TARGET_AGREEMENT, TARGET_SPEEDUP, decoding_table, measure_decoding
    from benchmarks.machine import describe
    from benchmarks.photos import load_photos
    from benchmarks.tables import crowd, times
    from runtime.bundle import Bundle, to_json

    opened = Bundle.open(bundle or _default_bundle())
    encoded, source = load_photos(photos, sample)
    _make(out)
    result = measure_decoding(opened, encoded, source)
    (out / "decode.json").write_bytes(to_json(result))
    Console(width=None if sys.stdout.isatty() else 132).print(decoding_table(result))
    click.echo(f"{describe(result.machine)}; {crowd(result.neighbours)}")
    click.echo(f"scaled decoding is faster {times(result.speedup, result.neighbours, result.count)}")
    click.echo(f"the same label on {result.same_label} of {result.count} photos ({result.agreement:.2%})")
    click.echo(f"made {out / 'decode.json'}")
    if result.agreement < TARGET_AGREEMENT or result.speedup.value < TARGET_SPEEDUP:
        raise Refusal(f"below the target: {TARGET_SPEEDUP:.0f} times faster, the same label on {TARGET_AGREEMENT:.1%}")


@main.command()
@click.option(
    "--bundle", type=click.Path(path_type=Path), envvar="DANDELION_BUNDLE", show_envvar=True, help="Default: ours."
)
@click.option("--bodies", type=click.IntRange(min=1), default=10_000, help="Requests to send.")
@click.option("--seed", type=int, default=0, help="The same seed sends the same requests.")
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS, help="Folder of the JSON.")
def robustness(bundle: Path | None, bodies: int, seed: int, out: Path) -> None:
    """Send hostile requests to an appliance started for it, and see that it refuses them and stays as it was.

    Damaged photos of every format, bombs, polyglots, wrong headers, broken forms, cut streams, no HTTP at all. Exits
    with 1 on any 5xx but 503, an answer that is owed and does not come, a crash, or memory that grows.
    """
    from rich.console import Console

    from benchmarks.robustness import measure_robustness, memory_curve, robustness_table
    from runtime.bundle import to_json

    _make(out)
    result = measure_robustness(bodies, seed=seed, arguments=["--bundle", str(bundle or _default_bundle())])
    (out / "robustness.json").write_bytes(to_json(result))
    Console(width=None if sys.stdout.isatty() else 132).print(robustness_table(result))
    click.echo(memory_curve(result))
    click.echo(f"growth after the warm-up {result.growth:+.1%}, peak {result.peak_mb:.0f} MB")
    click.echo(f"slowest answer {result.slowest_s:.1f} s, to {result.slowest}")
    click.echo(f"made {out / 'robustness.json'}")
    if result.failures:
        raise Refusal("; ".join(result.failures[:10]) + (" ..." if len(result.failures) > 10 else ""))


for command in (load, footprint, page, peers, sessions, batch, advise, report):
    main.add_command(command)

if __name__ == "__main__":
    sys.exit(main(prog_name="python -m benchmarks"))
