"""Command `python -m export record`: the same model, golden cases by the native kernel."""

from __future__ import annotations

from pathlib import Path

import click

from export.commands.options import BUNDLES, bundle_argument, say_made


@click.command()
@bundle_argument
@click.option("--out", type=click.Path(path_type=Path), default=BUNDLES, help="Folder of all bundles.")
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
    say_made(opened, made, signed=key is not None)
