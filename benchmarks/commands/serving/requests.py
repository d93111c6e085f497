"""Command `python -m benchmarks requests`: cost of a request, against another checkout's."""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks.commands.options import bundles_options, keep, make, open_bundles, out_option, photos_option, show


@click.command()
@click.option(
    "--against",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder of another checkout, an older commit say, to measure in turn with this one.",
)
@bundles_options
@photos_option
@click.option("--rounds", type=click.IntRange(min=1), default=20, help="Turns of each checkout.")
@click.option("--seconds", type=click.FloatRange(0.2, 600), default=2.0, help="Length of each turn.")
@out_option
def requests(
    *, against: Path, bundles: tuple[Path, ...], sizes: tuple[int, ...], photos: Path | None, rounds: int,
    seconds: float, out: Path,
) -> None:  # fmt: skip
    """Measure what a request costs, as a raw body and as a form, with 1 and 16 clients, against another checkout's.

    Both servers run at once and take turns. The cost is CPU time of the server's processes for each answered photo:
    other programs disturb it less than they disturb the time on the clock.
    """
    from benchmarks.contenders.photos import load_photos
    from benchmarks.host.interference import describe_contention
    from benchmarks.host.machine import describe
    from benchmarks.measurements.serving.requests import measure_requests, requests_table
    from benchmarks.statistics.goals import goals_table

    opened = open_bundles(bundles, sizes)
    encoded, source = load_photos(photos)
    make(out)
    result = measure_requests(opened, encoded, source, against, rounds=rounds, seconds=seconds)
    keep(result, out / "requests.json")
    show(requests_table(result), goals_table("Figures to reach", result.goals, result.neighbours))
    click.echo(f"{describe(result.machine)}; {describe_contention(result.neighbours)}")
    click.echo(f"made {out / 'requests.json'}")
