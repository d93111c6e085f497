"""`python -m benchmarks footprint`."""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks.commands.options import default_folder, keep, make, out_option, photos_option, show


@click.command()
@click.option(
    "--bundle", type=click.Path(path_type=Path), envvar="DANDELION_BUNDLE", show_envvar=True, help="Default: ours."
)
@photos_option
@click.option("--requests", type=click.IntRange(min=1), default=10_000, help="Mixed requests.")
@click.option("--starts", type=click.IntRange(min=1), default=7, help="Starts to take the median of.")
@click.option("--idle-s", type=click.FloatRange(0.5, 3600), default=30.0, help="Window of the idle CPU, twice.")
@out_option
def footprint(bundle: Path | None, photos: Path | None, requests: int, starts: int, idle_s: float, out: Path) -> None:
    """Measure what the appliance takes: time to start, memory over many mixed requests, idle CPU, disk.

    Small JPEGs, 12-megapixel ones, PNG, WebP, forms, batches, and bodies that it must refuse. Memory is what its
    processes keep resident, looked at every hundred requests.
    """
    from benchmarks.footprint import measure_footprint
    from benchmarks.footprint_table import disk_table, requests_table
    from benchmarks.goals import goals_table
    from benchmarks.machine import describe
    from benchmarks.photos import load_photos
    from benchmarks.plots import footprint_plot
    from benchmarks.tables import crowd
    from runtime.bundle import Bundle

    opened = Bundle.open(bundle or default_folder())
    encoded, _ = load_photos(photos)
    make(out)
    result = measure_footprint(opened, encoded, requests=requests, starts=starts, idle_s=idle_s)
    keep(result, out / "footprint.json")
    footprint_plot(result, out / "footprint.png")
    show(requests_table(result), disk_table(result), goals_table("Figures to reach", result.goals, result.neighbours))
    click.echo(f"{describe(result.machine)}; {crowd(result.neighbours)}")
    click.echo(f"made {out / 'footprint.json'} and {out / 'footprint.png'}")
