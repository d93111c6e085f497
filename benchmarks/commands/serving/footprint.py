"""Command `python -m benchmarks footprint`: cold start, memory, idle CPU, disk."""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks.commands.options import (
    bundle_option,
    default_folder,
    isa_option,
    keep,
    make,
    out_option,
    photos_option,
    show,
)
from runtime.native.layout import Instructions


@click.command()
@bundle_option
@photos_option
@click.option("--requests", type=click.IntRange(min=1), default=10_000, help="Mixed requests.")
@click.option("--starts", type=click.IntRange(min=1), default=7, help="Starts to take the median of.")
@click.option("--idle-s", type=click.FloatRange(0.5, 3600), default=30.0, help="Window of the idle CPU, twice.")
@isa_option
@out_option
def footprint(
    *,
    bundle: Path | None,
    photos: Path | None,
    requests: int,
    starts: int,
    idle_s: float,
    sets: tuple[Instructions, ...],
    out: Path,
) -> None:
    """Measure what the appliance takes: time to start, memory over many mixed requests, idle CPU, disk.

    Small JPEGs, 12-megapixel ones, PNG, WebP, forms, batches, and bodies that it must refuse. Memory is what its
    processes keep resident, looked at every hundred requests.

    Then start and memory by kernel, beside onnxruntime's exact INT8 kernel, which would serve on a processor with AVX2
    and no more; by default with the instruction set that serves here, and with AVX2.
    """
    from benchmarks.contenders.photos import load_photos
    from benchmarks.host.interference import describe_contention
    from benchmarks.host.machine import describe
    from benchmarks.measurements.serving.footprint import disk_table, measure_footprint, requests_table
    from benchmarks.measurements.serving.footprint_kernels import kernels_table
    from benchmarks.reporting.plots import footprint_plot
    from benchmarks.statistics.goals import goals_table
    from runtime.bundle.manifest import Bundle

    opened = Bundle.open(bundle or default_folder())
    encoded, _ = load_photos(photos)
    make(out)
    result = measure_footprint(opened, encoded, requests=requests, starts=starts, idle_s=idle_s, wanted=sets)
    keep(result, out / "footprint.json")
    footprint_plot(result, out / "footprint.png")
    by_kernel = [kernels_table(result.kernels)] if result.kernels else []
    show(requests_table(result), disk_table(result), *by_kernel)
    show(goals_table("Figures to reach", result.goals, result.neighbours, "--starts"))
    click.echo(f"{describe(result.machine)}; {describe_contention(result.neighbours)}")
    click.echo(f"made {out / 'footprint.json'} and {out / 'footprint.png'}")
