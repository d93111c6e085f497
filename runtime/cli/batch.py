"""Command line of batch inference: `python -m runtime batch`, all photos of a folder or bucket into one table."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from runtime.batch.plan import BatchPlan


@click.command(context_settings={"show_default": True})
@click.argument("source")
@click.option("--out", default="predictions.csv", help="Table to write: path or s3://… of a .csv or .parquet.")
@click.option(
    "--bundle",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="DANDELION_BUNDLE",
    show_envvar=True,
    help="Folder of the bundle that answers; it comes before --models, as it does where photos are served.",
)
@click.option("--models", envvar="DANDELION_MODELS", show_envvar=True, help="Store of the model; else the default one.")
@click.option("--version", help="Version of the model; the one that the store says to serve if not given.")
@click.option("--threads", type=click.IntRange(min=1), help="Photos at once; one a core if not given.")
@click.option("--fresh", is_flag=True, help="Start over instead of resuming an interrupted batch.")
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    default=Path("var/cache"),
    envvar="DANDELION_CACHE",
    show_envvar=True,
    help="Folder for the model and for finished parts.",
)
def batch(
    source: str,
    out: str,
    bundle: Path | None,
    models: str | None,
    version: str | None,
    threads: int | None,
    fresh: bool,
    cache: Path,
) -> None:
    """Classify every photo below SOURCE, a folder or s3://bucket/prefix.

    Each photo is a row with the answer of `POST /predict`, or with the reason why there is none. The same command
    resumes an interrupted batch.

    \b
    python -m runtime batch ~/photos
    python -m runtime batch s3://photos/2026 --out s3://results/2026.parquet
    """
    # The process that serves has this command, too, and no use for what it takes.
    from runtime.batch.classify import classify
    from runtime.batch.merge import merge
    from runtime.batch.plan import plan_batch
    from runtime.cli.progress import progress

    _check_out(out)
    asked = [source, out, models or "", version or "", *([str(bundle.resolve())] if bundle else [])]
    work = cache / "batch" / hashlib.sha256(os.fsencode("\0".join(asked))).hexdigest()[:16]
    if fresh:
        shutil.rmtree(work, ignore_errors=True)
    begun = (work / "rows").exists()
    made = plan_batch(source, str(work), models=models, version=version, bundle=bundle)
    if begun:
        click.echo(f"resuming the batch that was started at {made.created}; --fresh starts over", err=True)
    click.echo(f"{made.photos} photos, answered by {_model(made)}; labels {', '.join(made.classes)}")
    with progress("classify", made.photos) as advance:
        for number in range(made.parts):
            classify(str(work), number, cache=cache, threads=threads, advance=advance)
    summary = merge(str(work), out)
    shutil.rmtree(work)
    counts = ", ".join(f"{count} {label}" for label, count in summary.labels.items())
    click.echo(f"made {summary.table}: {counts}, {summary.errors} without an answer (see the column `error`)")
    if made.passed_over:
        click.echo(f"passed over {made.passed_over} files that are no photos by their names")


def _check_out(out: str) -> None:
    """Before any work is done: raises Refusal for a table that cannot be written."""
    from runtime.batch.merge import split
    from runtime.batch.rows import writer_for
    from runtime.store import InvalidKey, is_key, open_store

    place, name = split(out)
    writer_for(name)
    open_store(place)
    if not is_key(name):
        shown = os.fsencode(name).decode(errors="backslashreplace")
        raise InvalidKey(f"{shown!r}: is no name for a table; write it in UTF-8, without control characters")


def _model(made: BatchPlan) -> str:
    """Version and origin of the model of a batch, for people."""
    if made.bundle:
        return f"{made.version} in {made.bundle}"
    if made.models:
        return f"{made.version} in {made.models}"
    from runtime.bundle.default import default_bundle

    return f"{default_bundle().name}, the bundle in this package"
