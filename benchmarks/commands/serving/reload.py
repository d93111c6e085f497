"""Command `python -m benchmarks reload`: hot-reload cost."""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks.commands.options import keep, make, out_option, show


@click.command()
@click.option(
    "--against",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of another checkout, an older commit say, to measure in turn with this one.",
)
@click.option("--rounds", type=click.IntRange(min=1), default=10, help="Turns of each checkout, of 15 s each.")
@click.option("--bundle", type=click.Path(path_type=Path), help="Whose model is served and published; ours by default.")
@out_option
def reload(against: Path | None, rounds: int, bundle: Path | None, out: Path) -> None:
    """Measure what hot reload costs: start to ready, memory, and the time of a swap, against another checkout's.

    Starts are with the default bundle, with a version in the cache, and with one that is to be fetched. A swap is from
    the writing of models/latest.json until the new version serves; the store is looked at every 0.1 s.
    """
    from benchmarks.host.interference import describe_contention
    from benchmarks.host.machine import describe
    from benchmarks.measurements.serving.reload import measure_reload, reload_table
    from benchmarks.statistics.goals import goals_table

    make(out)
    result = measure_reload(bundle, against, rounds=rounds)
    keep(result, out / "reload.json")
    show(reload_table(result))
    if result.goals:
        show(goals_table("Figures to reach", result.goals, result.neighbours))
    click.echo(f"{describe(result.machine)}; {describe_contention(result.neighbours)}")
    click.echo(f"made {out / 'reload.json'}")
