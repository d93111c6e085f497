"""Command `python -m export backbone`: what models that are taught on an appliance stand on."""

from __future__ import annotations

from pathlib import Path

import click

from runtime.cli.say import say
from runtime.names import UNKNOWN
from training import options
from training.recipe import BACKBONE_SIZE


@click.command()
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
