"""Command line of `python -m training`: photos to a checkpoint, one command a step."""

from __future__ import annotations

import sys
from pathlib import Path
from shlex import quote

import click

from runtime.cli.group import Commands
from runtime.cli.say import say
from runtime.names import UNKNOWN
from training import options
from training.commands import INSPECTION, RAW, feedback, inspect, report_on, track
from training.files import CHECKPOINT, HISTORY
from training.openmp import sleep_at_barriers
from training.recipe import AUTO, NO_OTHER, ImageSize, epochs_for

OUT = Path("var/training")


@click.group(cls=Commands, extra="training,tracking", context_settings={"show_default": True})
def main() -> None:
    """From photos to a checkpoint.

    \b
    python -m training fetch       download the photos
    python -m training inspect     is the folder clean, is it enough: a page to look at
    python -m training prepare     verify, split, describe
    python -m training fit         fine-tune a ResNet18
    python -m training narrow      one with fewer channels, about twice as fast
    python -m training evaluate    a report to look at
    python -m training track       keep all of it in MLflow
    python -m training feedback    review what users corrected
    """
    sleep_at_barriers()


@main.command()
@click.option(
    "--source", help="Folder or base URL of <class>/<photo>; the public dandelion and grass photos if not given."
)
@click.option(
    "--list",
    "recorded",
    type=click.Path(path_type=Path),
    help="What the source holds: for a server that does not tell, and to check a mirror (JSON).",
)
@click.option("--out", type=click.Path(path_type=Path), default=RAW, help="Folder of the class folders.")
@options.other
@options.no_other
@click.option("--workers", type=click.IntRange(1, 64), default=8, help="Downloads at once.")
def fetch(source: str | None, recorded: Path | None, out: Path, other: str, no_other: bool, workers: int) -> None:
    """Download photos to OUT/<class>/, and photos of other things, which are none of the classes, to OUT/(unknown)/.

    Labels are the names of the class folders; photos in folders inside these are taken, too. What is there already is
    not fetched again, and what the source no longer has is removed.

    \b
    python -m training fetch --source ~/photos
    python -m training fetch --source https://host/photos --list photos.json

    A web server either lists its folders, or holds a photos.json beside the class folders; --list has the same form:
    {"photos": [{"path": "<class>/<name>", "sha256": "..."}]}, sha256 as you have it.
    """
    from training.data.fetch import fetch as fetch_photos

    wanted = None if no_other or other == NO_OTHER else other
    fetched = fetch_photos(out, source=source, recorded=recorded, other=wanted, workers=workers)
    if fetched.without_other:
        click.echo(f"without photos of other things: {fetched.without_other}; another run goes on with them")
    if fetched.left_out:
        click.echo(f"other things that may be one of the classes, left out: {', '.join(fetched.left_out)}")
    counts = ", ".join(f"{count} {label}" for label, count in fetched.photos.items())
    if fetched.other:
        counts += f", {fetched.other} of other things"
    gone = f", {fetched.removed} removed that the source has not" if fetched.removed else ""
    say(f"made {out}: {counts} ({fetched.resumed} were there already{gone})\nnext: python -m training prepare")


@main.command()
@click.option("--raw", type=click.Path(path_type=Path), default=RAW, help="Folder of the class folders.")
@click.option("--out", type=click.Path(path_type=Path), default=options.PROCESSED, help="The dataset to make.")
@click.option(
    "--validation",
    type=click.FloatRange(0.05, 0.5),
    default=0.2,
    help="Share of the photos that is kept for validation.",
)
@options.seed
@click.option("--inspect/--no-inspect", "inspected", default=True, help="Write the page of `inspect`, too.")
@click.option("--report", type=click.Path(path_type=Path), default=INSPECTION, help="The page.")
@options.weights
def prepare(raw: Path, out: Path, validation: float, seed: int, inspected: bool, report: Path, weights: str) -> None:
    """Verify photos, find duplicates, split, and write the manifest.

    Photos that are broken, tiny, doubled, or the same picture under two classes, are listed and left out.
    Near-duplicates are kept in one part of the split. The page of `inspect` is written, with --weights, and its advice
    shown in short.
    """
    from training.data.prepare import class_folders, near_duplicates
    from training.data.prepare import prepare as prepare_photos
    from training.data.survey import survey

    class_folders(raw)
    found = survey(raw)
    for photo in found.left_out:
        click.echo(f"left out {photo.path}: {photo.reason}")
    for pair in (pair for pair in found.pairs if pair.across):
        click.echo(f"check the labels, one picture under two classes ({pair.how}): {pair.one.path}, {pair.other.path}")
    if inspected:
        report_on(found, weights=weights, out=report)
    manifest = prepare_photos(raw, out, validation_fraction=validation, seed=seed, surveyed=found)
    for group in near_duplicates(manifest):
        click.echo(f"kept together, nearly the same picture: {', '.join(group)}")
    for label in manifest.labels:
        photos = [photo.split for photo in manifest.photos if photo.label == label]
        click.echo(f"{label}: {photos.count('train')} to train, {photos.count('validation')} to validate")
    if others := [photo.split for photo in manifest.photos if photo.label == UNKNOWN]:
        click.echo(f"other things: {others.count('train')} to train, {others.count('validation')} to validate")
    say(f"made {out}, dataset {manifest.sha256[:12]}\nnext: python -m training fit")


@main.command()
@options.data
@click.option("--out", type=click.Path(path_type=Path), default=OUT, help="Folder of the checkpoint and its history.")
@options.image_size
@options.epochs
@options.weights
@options.seed
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16"]),
    default="auto",
    help="Arithmetic of the training; auto takes bf16 where this CPU is clearly faster with it.",
)
def fit(
    data: Path, out: Path, image_size: ImageSize, epochs: int | None, weights: str, seed: int, precision: str
) -> None:
    """Fine-tune torchvision's ResNet18, and keep the last epoch.

    With `--image-size auto` it first cross-validates several sizes on the training photos, in two epochs each, and
    takes the smallest within a point of the best; for 400 photos that is three to four times the training itself.
    """
    from training.data.dataset import Dataset
    from training.learning.history import KEPT_BECAUSE
    from training.pipeline.fitting import fit_dataset
    from training.recipe import Recipe

    dataset = Dataset.open(data)
    recipe = Recipe(
        epochs=epochs_for(epochs, unknown=dataset.has_unknown),
        seed=seed,
        weights=weights,
        precision=None if precision == "auto" else precision,  # type: ignore[arg-type]  # click has checked it
    )
    fitted = fit_dataset(dataset, recipe, out, image_size=image_size, say=click.echo)
    for figures in fitted.history:
        click.echo(str(figures))
    click.echo(f"{KEPT_BECAUSE}\nmade {out / CHECKPOINT} and {HISTORY} ({fitted.precision})")
    say("next: python -m training evaluate, python -m export build")


@main.command()
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    default=OUT / CHECKPOINT,
    help="The wide network: what `fit` wrote.",
)
@options.data
@click.option("--out", type=click.Path(path_type=Path), default=OUT / "narrow.pt", help="The checkpoint to make.")
@click.option(
    "--share", type=click.FloatRange(0.05, 0.95), default=0.25, help="Of the channels inside each block, to be kept."
)
@click.option("--epochs", type=click.IntRange(0, 1000), default=50, help="Of distillation from the wide network.")
@options.seed
def narrow(checkpoint: Path, data: Path, out: Path, share: float, epochs: int, seed: int) -> None:
    """Prune channels of the trained network and distil it: about twice as fast.

    The narrow network learns from the wide one on the same photos. `python -m export build` refuses it if its
    validation accuracy is more than a point lower.
    """
    from training.data.dataset import Dataset
    from training.learning.crossvalidate import photos_of, split_of
    from training.learning.pruning import narrow as narrow_network
    from training.model.checkpoint import Checkpoint

    wide, dataset = Checkpoint.load(checkpoint), Dataset.open(data)
    wide.require_dataset(dataset.labels, dataset.manifest.sha256)
    photos = photos_of(dataset, split_of(dataset), wide.image_size)
    narrowed = narrow_network(wide, photos, share=share, epochs=epochs, seed=seed)
    narrowed.checkpoint.save(out)
    click.echo(
        f"validation accuracy {narrowed.accuracy:.4f}, of the wide network {narrowed.checkpoint.wide_accuracy:.4f}"
    )
    click.echo(f"made {out}: {', '.join(map(str, narrowed.checkpoint.widths or []))} channels inside its blocks")
    say(f"next: python -m export build --checkpoint {quote(str(out))}")


@main.command()
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    default=OUT / CHECKPOINT,
    help="What `fit` wrote; not for --folds.",
)
@options.data
@click.option("--out", type=click.Path(path_type=Path), default=Path("var/report"), help="Folder of the report.")
@click.option("--folds", type=click.IntRange(2, 50), help="Cross-validate the recipe instead of one checkpoint.")
@click.option(
    "--keep-out",
    multiple=True,
    metavar="KIND,KIND,...",
    callback=options.kinds,
    help="With --folds, train without these kinds of other things, and report how they are answered; may be repeated.",
)
@options.image_size
@options.epochs
@options.weights
@options.seed
def evaluate(
    *,
    checkpoint: Path,
    data: Path,
    out: Path,
    folds: int | None,
    keep_out: list[list[str]],
    image_size: ImageSize,
    epochs: int | None,
    weights: str,
    seed: int,
) -> None:
    """Write a report: figures with intervals, plots, and the worst mistakes.

    With --folds K it trains K networks, each scored on photos that it has not seen, as they are and as others publish
    them: altered copies of each. Each --keep-out trains K more.
    """
    from training.data.dataset import Dataset
    from training.evaluation.evaluate import evaluate_checkpoint, evaluate_recipe
    from training.evaluation.terminal import certain_lines, fold_lines, unknown_lines, validation_lines
    from training.recipe import Recipe

    dataset = Dataset.open(data)
    if folds is None and keep_out:
        raise click.UsageError("--keep-out trains networks of its own; give --folds, too")
    if folds is None:
        said, unknown, report = evaluate_checkpoint(checkpoint, dataset, out)
        lines = validation_lines(said)
    else:
        if not isinstance(image_size, int):
            raise click.BadParameter(
                f"{AUTO} is for `fit`, which says what it chose; name that size here",
                param_hint="--image-size (IMAGE_SIZE)",
            )
        recipe = Recipe(image_size, epochs_for(epochs, unknown=dataset.has_unknown), seed, weights)
        done = evaluate_recipe(dataset, recipe, folds, out, keep_out=keep_out)
        unknown, report = done.unknown, done.report
        lines = [*fold_lines(done.parts, done.republished), *certain_lines(done.certain, done.calibration)]
    for line in [*lines, *(unknown_lines(unknown) if unknown else [])]:
        click.echo(line)
    say(f"made {report}\nnext: open it in a browser; python -m export build")


main.add_command(inspect)
main.add_command(track)
main.add_command(feedback)


if __name__ == "__main__":
    sys.exit(main(prog_name="python -m training"))
