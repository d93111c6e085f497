"""Command line of `python -m training`: photos to a checkpoint, one command a step."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from runtime.cli.group import Commands
from training.commands import feedback, track

RAW = Path("var/data/raw")
PROCESSED = Path("var/data/processed")
OUT = Path("var/training")

_SEED = click.option("--seed", type=int, default=42, help="Same seed, same machine: same result.")
_DATA = click.option("--data", type=click.Path(path_type=Path), default=PROCESSED, help="A prepared dataset.")


def _multiple_of_32(_: click.Context, __: click.Parameter, size: int) -> int:
    if size % 32:
        raise click.BadParameter(f"{size} is not a multiple of 32", param_hint="--image-size (IMAGE_SIZE)")
    return size


_IMAGE_SIZE = click.option(
    "--image-size",
    type=click.IntRange(32, 512),
    default=224,
    envvar="IMAGE_SIZE",
    show_envvar=True,
    callback=_multiple_of_32,
    help="Side of the model's square input in px, a multiple of 32.",
)
_EPOCHS = click.option("--epochs", type=click.IntRange(1, 1000), default=5, envvar="EPOCHS", show_envvar=True)
_WEIGHTS = click.option("--weights", default="imagenet", help="imagenet, none, or the path of a ResNet18 state dict.")


@click.group(cls=Commands, context_settings={"show_default": True})
def main() -> None:
    """From photos to a checkpoint.

    \b
    python -m training fetch       download the photos
    python -m training prepare     verify, split, describe
    python -m training fit         fine-tune a ResNet18
    python -m training narrow      one with fewer channels, about twice as fast
    python -m training evaluate    a report to look at
    python -m training track       keep all of it in MLflow
    python -m training feedback    review what users corrected
    """


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
@click.option("--workers", type=click.IntRange(1, 64), default=8, help="Downloads at once.")
def fetch(source: str | None, recorded: Path | None, out: Path, workers: int) -> None:
    """Download photos to OUT/<class>/.

    Labels are the names of the class folders; photos in folders inside these are taken, too. What is there already is
    not fetched again, and what the source no longer has is removed.

    \b
    python -m training fetch --source ~/photos
    python -m training fetch --source https://host/photos --list photos.json

    A web server either lists its folders, or holds a photos.json beside the class folders; --list has the same form:
    {"photos": [{"path": "<class>/<name>", "sha256": "..."}]}, sha256 as you have it.
    """
    from training.data.fetch import fetch as fetch_photos

    fetched = fetch_photos(out, source=source, recorded=recorded, workers=workers)
    counts = ", ".join(f"{count} {label}" for label, count in fetched.photos.items())
    gone = f", {fetched.removed} removed that the source has not" if fetched.removed else ""
    click.echo(f"made {out}: {counts} ({fetched.resumed} were there already{gone})\nnext: python -m training prepare")


@main.command()
@click.option("--raw", type=click.Path(path_type=Path), default=RAW, help="Folder of the class folders.")
@click.option("--out", type=click.Path(path_type=Path), default=PROCESSED, help="The dataset to make.")
@click.option(
    "--validation",
    type=click.FloatRange(0.05, 0.5),
    default=0.2,
    help="Share of the photos that is kept for validation.",
)
@_SEED
def prepare(raw: Path, out: Path, validation: float, seed: int) -> None:
    """Verify photos, find duplicates, split, and write the manifest.

    Photos that are broken, tiny or doubled are listed and left out.
    """
    from training.data.prepare import near_duplicates
    from training.data.prepare import prepare as prepare_photos

    manifest = prepare_photos(raw, out, validation_fraction=validation, seed=seed)
    for photo in manifest.left_out:
        click.echo(f"left out {photo.path}: {photo.reason}")
    for group in near_duplicates(manifest):
        click.echo(f"kept together, nearly the same picture: {', '.join(group)}")
    for label in manifest.labels:
        photos = [photo.split for photo in manifest.photos if photo.label == label]
        click.echo(f"{label}: {photos.count('train')} to train, {photos.count('validation')} to validate")
    click.echo(f"made {out}, dataset {manifest.sha256[:12]}\nnext: python -m training fit")


@main.command()
@_DATA
@click.option("--out", type=click.Path(path_type=Path), default=OUT, help="Folder of the checkpoint and its history.")
@_IMAGE_SIZE
@_EPOCHS
@_WEIGHTS
@_SEED
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16"]),
    default="auto",
    help="Arithmetic of the training; auto takes bf16 where this CPU is clearly faster with it.",
)
def fit(data: Path, out: Path, image_size: int, epochs: int, weights: str, seed: int, precision: str) -> None:
    """Fine-tune torchvision's ResNet18 and keep the best epoch."""
    from training.data.dataset import Dataset
    from training.learning.crossvalidate import checkpoint_of, split_of, train_fold
    from training.learning.fit import Recipe
    from training.learning.history import best_epoch, write_history
    from training.tracking.resources import sampled

    dataset = Dataset.open(data)
    chosen = None if precision == "auto" else precision
    recipe = Recipe(image_size, epochs, seed, weights, chosen)  # type: ignore[arg-type]  # click has checked it
    out.mkdir(parents=True, exist_ok=True)
    with sampled(out / "resources.json"):
        fitted = train_fold(dataset, split_of(dataset), recipe, what="fit")
    best = best_epoch(fitted.history)
    checkpoint_of(dataset, recipe, fitted, fitted.best, epoch=best).save(out / "best_model.pt")
    write_history(out / "history.json", fitted.history)
    for figures in fitted.history:
        click.echo(
            f"epoch {figures.epoch}: loss {figures.train_loss:.3f}, validation loss {figures.validation_loss:.3f}, "
            f"accuracy {figures.validation_accuracy:.4f}, F1 {figures.validation_f1:.4f}, {figures.seconds:.1f} s"
            f"{' (best)' if figures.epoch == best else ''}"
        )
    click.echo(f"made {out / 'best_model.pt'} and history.json ({fitted.precision})")
    click.echo("next: python -m training evaluate, python -m export build")


@main.command()
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    default=OUT / "best_model.pt",
    help="The wide network: what `fit` wrote.",
)
@_DATA
@click.option("--out", type=click.Path(path_type=Path), default=OUT / "narrow.pt", help="The checkpoint to make.")
@click.option(
    "--share", type=click.FloatRange(0.05, 0.95), default=0.25, help="Of the channels inside each block, to be kept."
)
@click.option("--epochs", type=click.IntRange(0, 1000), default=50, help="Of distillation from the wide network.")
@_SEED
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
    click.echo(f"next: python -m export build --checkpoint {out}")


@main.command()
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    default=OUT / "best_model.pt",
    help="What `fit` wrote; not for --folds.",
)
@_DATA
@click.option("--out", type=click.Path(path_type=Path), default=Path("var/report"), help="Folder of the report.")
@click.option("--folds", type=click.IntRange(2, 50), help="Cross-validate the recipe instead of one checkpoint.")
@_IMAGE_SIZE
@_EPOCHS
@_WEIGHTS
@_SEED
def evaluate(
    checkpoint: Path, data: Path, out: Path, folds: int | None, image_size: int, epochs: int, weights: str, seed: int
) -> None:
    """Write a report: figures with intervals, plots, and the worst mistakes.

    With --folds K it trains K networks, each scored on photos that it has not seen.
    """
    from training.data.dataset import Dataset
    from training.evaluation.evaluate import evaluate_checkpoint, evaluate_recipe
    from training.learning.fit import Recipe
    from training.metrics.scores import pooled, score

    dataset = Dataset.open(data)
    if folds is None:
        predictions, report = evaluate_checkpoint(checkpoint, dataset, out)
        scores = score(predictions)
        click.echo(f"accuracy {scores.accuracy:.4f}, F1 {scores.f1:.4f} on {len(predictions.truth)} photos")
    else:
        parts, report = evaluate_recipe(dataset, Recipe(image_size, epochs, seed, weights), folds, out)
        each = [score(part) for part in parts]
        for number, scores in enumerate(each, start=1):
            click.echo(f"fold {number}: accuracy {scores.accuracy:.4f}, F1 {scores.f1:.4f}")
        mean_accuracy, mean_f1 = (sum(getattr(s, name) for s in each) / folds for name in ("accuracy", "f1"))
        all_photos = score(pooled(parts))
        click.echo(f"mean of {folds} folds: accuracy {mean_accuracy:.4f}, F1 {mean_f1:.4f}")
        click.echo(f"all photos: accuracy {all_photos.accuracy:.4f}, F1 {all_photos.f1:.4f}")
    click.echo(f"made {report}\nnext: open it in a browser; python -m export build")


main.add_command(track)
main.add_command(feedback)


if __name__ == "__main__":
    sys.exit(main(prog_name="python -m training"))
