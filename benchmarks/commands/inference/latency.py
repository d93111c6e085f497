"""Command `python -m benchmarks latency`: in-process latency."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks.commands.options import bundle_option, default_folder, keep, make, out_option, photos_option, show


@click.command()
@bundle_option
@photos_option
@click.option("--rounds", type=click.IntRange(min=5), default=60, help="Turns of each contender.")
@click.option(
    "--against",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of another checkout, an older commit say: both default bundles alone, in turn.",
)
@out_option
def latency(bundle: Path | None, photos: Path | None, rounds: int, against: Path | None, out: Path) -> None:
    """Time one photo from JPEG bytes to label, in process.

    PyTorch FP32 at 224 px as in the replaced stack (random weights: they do not change the arithmetic), ONNX FP32 and
    INT8 at the bundle's size, with one thread and all. Keep the machine quiet: what other programs take is measured
    too, and a ratio measured beside a busy one is marked.
    """
    from benchmarks.contenders.photos import load_photos
    from benchmarks.host.interference import describe_contention
    from benchmarks.host.machine import describe
    from benchmarks.measurements.inference.latency import latency_table, measure_latency
    from benchmarks.reporting.plots import latency_plot
    from benchmarks.statistics.goals import quoted_ratio
    from runtime.bundle.manifest import Bundle, to_json

    if against and bundle:
        raise click.UsageError("--against takes the default bundle of each checkout: leave --bundle out")
    opened = Bundle.open(bundle or default_folder())
    encoded, source = load_photos(photos)
    make(out)
    if against:
        _measure_against(against, encoded, source, rounds, out)
        return
    result = measure_latency(opened, encoded, source, rounds=rounds)
    (out / "latency.json").write_bytes(to_json(result))
    latency_plot(result, out / "latency.png")
    show(latency_table(result))
    click.echo(f"{describe(result.machine)}; {describe_contention(result.neighbours)}")
    best = f"at its best ({result.replaced_threads} thread{'s' if result.replaced_threads > 1 else ''})"
    ours = f"all threads, {result.image_size} px: the bundle is faster than"
    click.echo(f"{ours} the replaced stack {best} {quoted_ratio(result.speedup, result.neighbours, rounds)}")
    click.echo(f"{ours} its FP32 graph {quoted_ratio(result.speedup_fp32, result.neighbours, rounds)}")
    click.echo(f"made {out / 'latency.json'} and {out / 'latency.png'}")


def _measure_against(against: Path, photos: Sequence[bytes], source: str, rounds: int, out: Path) -> None:
    from benchmarks.host.interference import describe_contention
    from benchmarks.host.machine import describe
    from benchmarks.measurements.inference.latency_against import against_table, measure_against
    from benchmarks.statistics.goals import goals_table

    result = measure_against(against, photos, source, rounds=rounds)
    keep(result, out / "latency-against.json")
    show(against_table(result))
    show(goals_table("Figures to reach", result.goals, result.neighbours))
    click.echo(f"{describe(result.machine)}; {describe_contention(result.neighbours)}")
    click.echo(f"made {out / 'latency-against.json'}")
