"""Command line of batch inference: `python -m runtime batch`, all photos of a folder or bucket into one table."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import click


@click.command(context_settings={"show_default": True})
@click.argument("source")
@click.option("--out", default="predictions.csv", help="Table to write: path or s3://… of a .csv or .parquet.")
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
    from runtime.batch.merge import merge, split
    from runtime.batch.plan import plan_batch
    from runtime.batch.rows import writer_for
    from runtime.cli.progress import progress

    writer_for(split(out)[1])  # before any work is done
    work = (
        cache
        / "batch"
        / hashlib.sha256("\0".join([source, out, models or "", version or ""]).encode()).hexdigest()[:16]
    )
    if fresh:
        shutil.rmtree(work, ignore_errors=True)
    begun = (work / "rows").exists()
    made = plan_batch(source, str(work), models=models, version=version)
    if begun:
        click.echo(f"resuming the batch that was started at {made.created}; --fresh starts over", err=True)
    with progress("classify", made.photos) as advance:
        for number in range(made.parts):
            classify(str(work), number, cache=cache, threads=threads, advance=advance)
    summary = merge(str(work), out)
    shutil.rmtree(work)
    counts = ", ".join(f"{count} {label}" for label, count in summary.labels.items())
    click.echo(f"made {summary.table}: {counts}, {summary.errors} without an answer (see the column `error`)")
    if made.passed_over:
        click.echo(f"passed over {made.passed_over} files that are no photos by their names")
