"""Command `python -m export build`: a checkpoint becomes a bundle."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Any

import click

from export.commands.options import BUNDLES, DATA, min_accuracy_option
from runtime.cli.say import say
from training.files import CHECKPOINT


@click.command()
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    default=Path("var/training", CHECKPOINT),
    help="What `python -m training fit` wrote.",
)
@click.option("--data", type=click.Path(path_type=Path), default=DATA, help="The dataset that it was trained on.")
@click.option("--out", type=click.Path(path_type=Path), default=BUNDLES, help="Folder of all bundles.")
@click.option(
    "--name",
    envvar="DANDELION_PRODUCT",
    show_envvar=True,
    help="Name of the model, which is that of the product; by its labels if not given.",
)
@click.option("--version", help="Name of the bundle's folder; the checkpoint's date and hash if not given.")
@min_accuracy_option
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
