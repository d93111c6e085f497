"""Command `python -m benchmarks load`: open-loop and closed-loop load over HTTP."""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks.commands.options import bundles_options, keep, make, open_bundles, out_option, photos_option, show


@click.command()
@bundles_options
@photos_option
@click.option("--rounds", type=click.IntRange(min=2), default=8, help="Turns of each way of loading.")
@click.option("--seconds", type=click.FloatRange(0.2, 600), default=2.0, help="Length of each turn.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of one inference; all cores if not given.")
@click.option("--form", is_flag=True, help="Send photos as `curl -F` does, not as raw bodies.")
@click.option("--overload", type=click.FloatRange(1.1, 100), help="Then press with so many times the sustainable load.")
@click.option("--overload-s", type=click.FloatRange(1, 3600), default=60.0, help="For so long.")
@click.option("--budget-ms", type=click.FloatRange(1), default=1000.0, help="The waiting budget of the appliance.")
@out_option
def load(
    *,
    bundles: tuple[Path, ...],
    sizes: tuple[int, ...],
    photos: Path | None,
    rounds: int,
    seconds: float,
    threads: int | None,
    form: bool,
    overload: float | None,
    overload_s: float,
    budget_ms: float,
    out: Path,
) -> None:
    """Load the appliance over HTTP: closed loop with 1, 4, 16 and 64 clients, and open loop.

    An open loop keeps its rate of arrivals, and a request's latency counts from its arrival (no coordinated omission):
    a server that stalls cannot hide it. The same photos are answered in process in the same rounds; the figures to
    reach are ratios to that. The load generator is a process of its own on the same cores, and what it takes is told.
    """
    from benchmarks.contenders.photos import load_photos
    from benchmarks.host.interference import describe_contention
    from benchmarks.host.machine import describe
    from benchmarks.load_generator import raw_requests
    from benchmarks.measurements.serving.load import OverloadPlan, load_table, measure_load
    from benchmarks.reporting.plots import load_plot
    from benchmarks.statistics.goals import goals_table

    opened = open_bundles(bundles, sizes)
    encoded, source = load_photos(photos)
    make(out)
    result = measure_load(
        opened,
        encoded,
        source,
        raw_requests.form("/predict") if form else raw_requests.raw("/predict"),
        body="form" if form else "raw",
        rounds=rounds,
        seconds=seconds,
        threads=threads,
        overload=None if overload is None else OverloadPlan(overload, overload_s, budget_ms),
    )
    keep(result, out / "load.json")
    load_plot(result, out / "load.png")
    for served in result.served:
        title = f"Figures to reach, {served.image_size} px"
        show(load_table(served, result.photos), goals_table(title, served.goals, result.neighbours))
    click.echo(f"{describe(result.machine)}; {describe_contention(result.neighbours)}")
    click.echo(f"made {out / 'load.json'} and {out / 'load.png'}")
