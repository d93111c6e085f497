"""Command `python -m benchmarks advise`: recommend threads, size and precision for a target."""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks.commands.options import bundles_options, keep, make, open_bundles, out_option, photos_option, show


@click.command()
@click.option("--target-ms", type=click.FloatRange(0.1), help="95 of 100 answers to a lone client within so long.")
@click.option("--target-rate", type=click.FloatRange(0.1), help="So many photos per second.")
@bundles_options
@photos_option
@click.option("--seconds", type=click.FloatRange(0.2, 60), default=4.0, help="For each figure.")
@out_option
def advise(
    *,
    target_ms: float | None,
    target_rate: float | None,
    bundles: tuple[Path, ...],
    sizes: tuple[int, ...],
    photos: Path | None,
    seconds: float,
    out: Path,
) -> None:
    """Measure this host in a minute and say which threads, size and precision suit a target.

    The bundles that are given are served and measured; other input sizes are extrapolated from them and marked so.
    `--size` measures a size of which there is no trained bundle yet, with the network of another.
    """
    from benchmarks.contenders.photos import load_photos
    from benchmarks.host.interference import describe_contention
    from benchmarks.host.machine import describe
    from benchmarks.measurements.serving.advise import Target, kernels_table, options_table, recommendation
    from benchmarks.measurements.serving.advise import advise as measure

    if target_ms is None and target_rate is None:
        raise click.BadParameter("give --target-ms, --target-rate or both", param_hint="--target-ms")
    opened = open_bundles(bundles, sizes)
    encoded, source = load_photos(photos)
    make(out)
    advice = measure(opened, encoded, source, Target(target_ms, target_rate), seconds=seconds)
    keep(advice, out / "advise.json")
    show(options_table(advice), kernels_table(advice))
    click.echo(f"{describe(advice.machine)}; {describe_contention(advice.neighbours)}")
    if advice.neighbours.contended:
        click.echo("the host was busy: what follows holds for a host that stays as busy")
    click.echo(recommendation(advice))
    click.echo(f"made {out / 'advise.json'}")
