"""Command `python -m benchmarks page`: the page in a real browser."""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks.commands.options import bundle_option, default_folder, keep, make, out_option, photos_option, show


@click.command()
@bundle_option
@photos_option
@click.option("--starts", type=click.IntRange(min=1), default=7, help="Starts to take the median of.")
@click.option("--uploads", type=click.IntRange(min=1), default=1000, help="Photos to upload through the page at once.")
@click.option("--rounds", type=click.IntRange(min=1), default=8, help="Turns of each way of using the page.")
@click.option("--seconds", type=click.FloatRange(0.2, 600), default=4.0, help="Length of each turn.")
@click.option("--chromium", type=click.Path(path_type=Path), help="The browser; searched for if not given.")
@out_option
def page(
    *,
    bundle: Path | None,
    photos: Path | None,
    starts: int,
    uploads: int,
    rounds: int,
    seconds: float,
    chromium: Path | None,
    out: Path,
) -> None:
    """Measure page and API in one process from a real browser on the same cores; five minutes.

    Time to the first page, memory while photos are uploaded through it, how long a click takes beside 16 API clients,
    and the API's 99th percentile with a Monitor page open and without, in turns. Needs Playwright and a Chromium.
    """
    from benchmarks.contenders.photos import load_photos
    from benchmarks.host.browser import chromium as opened_browser
    from benchmarks.host.interference import describe_contention
    from benchmarks.host.machine import describe
    from benchmarks.measurements.serving.page import measure_page, page_table
    from benchmarks.reporting.plots import page_plot
    from benchmarks.statistics.goals import goals_table
    from runtime.bundle.manifest import Bundle

    opened = Bundle.open(bundle or default_folder())
    encoded, _ = load_photos(photos)
    make(out)
    with opened_browser(chromium) as browser:
        result = measure_page(opened, encoded, browser, starts=starts, uploads=uploads, rounds=rounds, seconds=seconds)
    keep(result, out / "page.json")
    page_plot(result, out / "page.png")
    show(page_table(result), goals_table("Figures to reach", result.goals, result.neighbours))
    click.echo(f"{describe(result.machine)}; {describe_contention(result.neighbours)}")
    click.echo(f"made {out / 'page.json'} and {out / 'page.png'}")
