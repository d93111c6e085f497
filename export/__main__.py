"""Command line of `python -m export`: build, sweep, compare, release, reorder, record, backbone."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from runtime.cli.group import Commands
from runtime.cli.say import say
from runtime.names import UNKNOWN
from training import options
from training.files import CHECKPOINT
from training.recipe import BACKBONE_SIZE, SIZES

if TYPE_CHECKING:
    from export.gates.champion_challenger import Verdict
    from export.release.release import Judged
    from runtime.bundle.manifest import Bundle
    from training.storage.locations import Places

DATA = Path("var/data/processed")

_MIN_ACCURACY = click.option(
    "--min-accuracy",
    type=click.FloatRange(0, 1),
    envvar="DANDELION_MIN_ACCURACY",
    show_envvar=True,
    help="Refuse a model below this validation accuracy; 0.93 for the public photos, no floor for others if not given.",
)


@click.group(cls=Commands, extra="export", context_settings={"show_default": True})
def main() -> None:
    """Turn a checkpoint into a bundle that the runtime serves.

    \b
    python -m export build                      the bundle of the latest training
    python -m export sweep                      accuracy and latency at several input sizes
    python -m export compare BUNDLE             photo by photo, with the version that is served
    python -m export release BUNDLE             compare, publish, register
    python -m export reorder BUNDLE             the same model, with less to compute
    python -m export record BUNDLE              the same model, golden cases by the native kernel
    python -m export backbone                   what models that are taught on an appliance stand on
    """


@main.command()
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    default=Path("var/training", CHECKPOINT),
    help="What `python -m training fit` wrote.",
)
@click.option("--data", type=click.Path(path_type=Path), default=DATA, help="The dataset that it was trained on.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("var/bundles"), help="Folder of all bundles.")
@click.option(
    "--name",
    envvar="DANDELION_PRODUCT",
    show_envvar=True,
    help="Name of the model, which is that of the product; by its labels if not given.",
)
@click.option("--version", help="Name of the bundle's folder; the checkpoint's date and hash if not given.")
@_MIN_ACCURACY
@click.option(
    "--answer-precision",
    type=click.FloatRange(0.5, 1),
    default=0.99,
    help="Answers less sure than it takes for this precision on the validation photos are called uncertain.",
)
@click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    default=Path("var/report", "calibration.json"),
    help="What `python -m training evaluate --folds K` wrote of the same photos and recipe: temperature and thresholds "
    "from all photos. If there is none, the validation photos set them.",
)
@click.option("--fp32/--no-fp32", default=True, help="Carry the FP32 reference (45 MB) in the bundle.")
@click.option(
    "--title",
    envvar="DANDELION_TITLE",
    show_envvar=True,
    help="What the page calls the product; by its name or labels if not given.",
)
@click.option(
    "--headline",
    envvar="DANDELION_HEADLINE",
    show_envvar=True,
    help="The page's first line, such as 'Which bird is this?'; by the labels if not given.",
)
@click.option(
    "--picture",
    type=click.Path(path_type=Path),
    envvar="DANDELION_PICTURE",
    show_envvar=True,
    help="An SVG or PNG for the page, up to 128 KiB.",
)
def build(
    *,
    checkpoint: Path,
    data: Path,
    out: Path,
    name: str | None,
    version: str | None,
    min_accuracy: float | None,
    answer_precision: float,
    calibration: Path,
    fp32: bool,
    **display: Any,
) -> None:
    """Export, quantise, prove and write one bundle.

    A gate that fails stops it: nothing is written, and the message says by how much.
    """
    from export.bundle.build import build as build_bundle
    from export.bundle.display import shown
    from export.bundle.manifest_lines import gate_line, unknown_line
    from export.gates.quality_gates import Limits
    from training.data.dataset import Dataset
    from training.learning.cross_calibration import calibration_for
    from training.model.checkpoint import Checkpoint
    from training.pipeline.versions import version_of
    from training.tracking.local_run import run_of

    shows = shown(**display)
    loaded = Checkpoint.load(checkpoint)
    bundle = build_bundle(
        loaded,
        Dataset.open(data),
        out / (version or version_of(checkpoint)),
        limits=Limits(min_accuracy, answer_precision),
        name=name,
        with_fp32=fp32,
        shown=shows,
        calibration=calibration_for(loaded, calibration, precision=answer_precision, say=click.echo),
        mlflow_run=run_of(checkpoint),
        say=click.echo,
    )
    metrics = bundle.manifest.metrics
    for gate in bundle.manifest.gates:
        click.echo(gate_line(gate))
    click.echo(
        f"INT8: accuracy {metrics.int8.accuracy:.4f}, F1 {metrics.int8.f1:.4f}; sure of {metrics.answered:.0%} of the "
        f"{metrics.photos} validation photos and right in {metrics.answered_precision:.1%} of those"
    )
    if bundle.manifest.unknown:
        click.echo(unknown_line(bundle.manifest.unknown))
    files = ", ".join(f"{name} {entry.size_bytes / 1e6:.1f} MB" for name, entry in bundle.manifest.files.items())
    click.echo(f"made {bundle.path} ({files}), product {bundle.manifest.name}")
    say(f"next: make run BUNDLE={quote(str(bundle.path))}")


@main.command()
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
@_MIN_ACCURACY
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


_BUNDLE = click.argument("bundle", type=click.Path(exists=True, file_okay=False, path_type=Path))
_TOLERANCE = click.option(
    "--tolerance",
    type=click.FloatRange(0, 1),
    default=0.02,
    help="Promote unless it is right on fewer photos by more than this share.",
)
_REPLACE = click.option(
    "--replace", is_flag=True, help="Also take the place of a model of another product, or of other labels."
)
_VALIDATION = click.option("--data", type=click.Path(path_type=Path), default=DATA, help="Whose validation photos.")


@main.command()
@_BUNDLE
@_VALIDATION
@_TOLERANCE
@_REPLACE
def compare(bundle: Path, data: Path, tolerance: float, replace: bool) -> None:
    """Compare BUNDLE with the version that serves: the one that the models store says (DANDELION_MODELS, else
    var/store), or the shipped one while it says none.

    Both answer the same validation photos; nothing is changed.
    """
    verdict = _judged(bundle, data, tolerance, replace).verdict
    click.echo(f"{'would be promoted' if verdict.promote else 'would not be promoted'}: {verdict.reason}")


@main.command("release")
@_BUNDLE
@_VALIDATION
@_TOLERANCE
@_REPLACE
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    default=Path("var/training", CHECKPOINT),
    help="Published beside it, if it is there.",
)
@click.option("--register/--no-register", "registers", default=True, help="Also register in MLflow.")
def release_bundle(
    bundle: Path, data: Path, tolerance: float, replace: bool, checkpoint: Path, registers: bool
) -> None:
    """Publish BUNDLE to the models store, and let it be served if it is not worse than what is.

    Appliances that follow the store serve it soon, without a restart. A bundle that is not promoted is stored beside
    the others: `python -m runtime models promote` serves it all the same.
    """
    from export.release.outcome import conclusion
    from export.release.release import release
    from runtime.bundle.manifest import Bundle
    from training.storage.locations import Places

    places = Places.from_environment()
    verdict, tag = _judged(bundle, data, tolerance, replace)
    opened = Bundle.open(bundle)
    checked = checkpoint if checkpoint.is_file() else None
    released = release(
        opened, places.models_store, promote=verdict.promote, tag=tag, checkpoint=checked, key=places.signer()
    )
    click.echo(f"made {places.models}/models/{released.version}")
    if registers:
        _register(places, opened, verdict)
    say("\n".join(conclusion(places, opened.manifest, {"reason": verdict.reason, "champion": verdict.champion})))


def _register(places: Places, bundle: Bundle, verdict: Verdict) -> None:
    from export.release.register import register
    from training.tracking.server import Tracker

    resume = f"the model is published; run `python -m export release {quote(str(bundle.path))}` again"
    tracker = Tracker(places.tracking, product=bundle.manifest.name, resume=resume)
    tags = {"store": places.models}
    registered = register(tracker, bundle, promoted=verdict.promote, reason=verdict.reason, tags=tags)
    click.echo(f"{bundle.manifest.name} {registered.version} is the {registered.alias}: {registered.url}")


@main.command()
@click.option(
    "--others",
    type=click.Path(path_type=Path),
    default=Path("var/data/raw", UNKNOWN),
    help="Photos of other things, which `python -m training fetch` has brought.",
)
@click.option(
    "--image-size", callback=options.side, default=str(BACKBONE_SIZE), help="Side of its input in px, a multiple of 32."
)
@options.weights
@click.option("--out", type=click.Path(path_type=Path), default=Path("var/backbones"), help="Folder of all backbones.")
@click.option("--version", help="Name of the backbone's folder; its size and the day if not given.")
def backbone(*, others: Path, image_size: int, weights: str, out: Path, version: str | None) -> None:
    """Build the backbone of teaching: ResNet18 without a head, in INT8, and the features of photos of other things.

    The one of this release lies in runtime/teaching/backbones; replace its folder by the new one.
    """
    from datetime import UTC, datetime

    from export.backbone import build_backbone, other_photos
    from export.bundle.manifest_lines import gate_line

    target = out / (version or f"{datetime.now(UTC):%Y%m%d}-{image_size}px")
    built = build_backbone(other_photos(others), target, image_size=image_size, weights=weights, say=say)
    click.echo("\n".join(gate_line(gate) for gate in built.record.gates))
    size = len(built.model) + built.others.nbytes
    click.echo(f"made {target} ({size / 1e6:.1f} MB, {len(built.others)} photos of other things)")


@main.command()
@_BUNDLE
@click.option("--data", type=click.Path(path_type=Path), default=DATA, help="A prepared dataset of such photos.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("var/bundles"), help="Folder of all bundles.")
@click.option("--version", help="Name of the new bundle's folder; the day and its model's hash if not given.")
@click.option("--dry-run", is_flag=True, help="Say what would be gained, and write nothing.")
def reorder(bundle: Path, data: Path, out: Path, version: str | None, dry_run: bool) -> None:
    """Make a new version of BUNDLE with its channels in the order that suits the native kernel.

    Weights and answers stay the same, and so does the quality that the manifest states. Bundles of `build` are in such
    an order already. With DANDELION_SIGNING_KEY the new version is signed.
    """
    from export.bundle.photos import calibration_pixels
    from export.bundle.reordered import reordered, write_reordered
    from runtime.bundle.manifest import Bundle
    from training.data.dataset import Dataset
    from training.storage.locations import Places

    key, opened = Places.from_environment().signer(), Bundle.open(bundle)
    found = reordered(opened, calibration_pixels(Dataset.open(data), opened.manifest.input.height))
    click.echo(f"{found.needed}; answers to the golden cases change by {found.deviation:.1g} at most")
    if dry_run:
        return
    made = write_reordered(opened, found, out, version=version, key=key)
    _say_made(opened, made, signed=key is not None)


@main.command()
@_BUNDLE
@click.option("--out", type=click.Path(path_type=Path), default=Path("var/bundles"), help="Folder of all bundles.")
@click.option("--version", help="Name of the new bundle's folder; the day and a hash if not given.")
def record(bundle: Path, out: Path, version: str | None) -> None:
    """Make a new version of BUNDLE whose golden cases are recorded by the native kernel.

    Earlier releases recorded onnxruntime's answers to six decimals. Where the native kernel serves, the deviation from
    this version's is 0. The model stays the same. With DANDELION_SIGNING_KEY the new version is signed.
    """
    from export.bundle.recorded import recorded, write_recorded
    from runtime.bundle.manifest import Bundle
    from training.storage.locations import Places

    key, opened = Places.from_environment().signer(), Bundle.open(bundle)
    made = write_recorded(opened, recorded(opened), out, version=version, key=key)
    _say_made(opened, made, signed=key is not None)


def _say_made(before: Bundle, made: Bundle, *, signed: bool) -> None:
    from export.bundle.new_version import is_signed

    click.echo(f"made {made.path}{', signed' if signed else ''}")
    if is_signed(before) and not signed:
        click.echo(f"{before.path} is signed and this version is not: DANDELION_SIGNING_KEY was not given")
    say(f"next: make run BUNDLE={quote(str(made.path))}")


def _judged(bundle: Path, data: Path, tolerance: float, replace: bool) -> Judged:
    from export.release.release import judge
    from runtime.bundle.manifest import Bundle
    from training.data.dataset import Dataset
    from training.pipeline.taught import learned
    from training.storage.locations import Places

    opened, places = Bundle.open(bundle), Places.from_environment()
    dataset, cache = Dataset.open(data), places.work / "champions"
    known = partial(learned, places.of(opened.manifest.name))
    return judge(opened, places.models_store, dataset, cache, tolerance=tolerance, replace=replace, learned=known)


def _sizes(text: str) -> list[int]:
    try:
        sizes = [int(part) for part in text.split(",")]
    except ValueError:
        sizes = []
    if not sizes or any(size % 32 or not 32 <= size <= 512 for size in sizes):
        raise click.BadParameter(f"{text!r} is not a list of multiples of 32 from 32 to 512", param_hint="--sizes")
    return sizes


if __name__ == "__main__":
    sys.exit(main(prog_name="python -m export"))
