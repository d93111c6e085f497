"""Command `python -m benchmarks batch`: batch-scoring throughput."""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks.commands.options import keep, make, out_option, photos_option, show


@click.command()
@photos_option
@click.option("--photos-per-task", "per_task", type=click.IntRange(min=1), default=2000, help="As the DAG has it.")
@click.option("--rounds", type=click.IntRange(min=1), default=6, help="Turns of each contender.")
@out_option
def batch(photos: Path | None, per_task: int, rounds: int, out: Path) -> None:
    """Measure batch scoring: one task against decoding and inference alone, and several tasks at once against one.

    A task is what `python -m runtime batch` and the DAG `dandelion_batch_predict` run for each part, with the default
    bundle and a folder as store.
    """
    from benchmarks.contenders.photos import load_photos
    from benchmarks.host.interference import describe_contention
    from benchmarks.host.machine import describe
    from benchmarks.measurements.batch import batch_table, measure_batch
    from benchmarks.statistics.goals import goals_table

    encoded, source = load_photos(photos)
    make(out)
    result = measure_batch(encoded, source, per_task=per_task, rounds=rounds)
    keep(result, out / "batch.json")
    show(batch_table(result), goals_table("Figures to reach", result.goals, result.neighbours))
    click.echo(f"{describe(result.machine)}; {describe_contention(result.neighbours)}")
    click.echo(f"made {out / 'batch.json'}")
