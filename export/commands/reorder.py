"""Command `python -m export reorder`: the same model, with less to compute."""

from __future__ import annotations

from pathlib import Path

import click

from export.commands.options import BUNDLES, DATA, bundle_argument, say_made


@click.command()
@bundle_argument
@click.option("--data", type=click.Path(path_type=Path), default=DATA, help="A prepared dataset of such photos.")
@click.option("--out", type=click.Path(path_type=Path), default=BUNDLES, help="Folder of all bundles.")
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
    say_made(opened, made, signed=key is not None)
