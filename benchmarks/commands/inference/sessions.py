"""Command `python -m benchmarks sessions`: bare inference sessions."""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks.commands.options import RESULTS, default_folder, isa_option, keep, make, out_option, show
from runtime.native.layout import Instructions


@click.command()
@click.option("--bundle", type=click.Path(path_type=Path), help="Whose INT8 file; ours by default.")
@click.option(
    "--size",
    type=click.IntRange(32, 512),
    help="Instead of --bundle: the default network at this size, px.",
)
@click.option("--rounds", type=click.IntRange(min=2), default=40, help="Turns of each contender.")
@click.option("--environments", type=click.Path(path_type=Path), default=Path("var/peers"), help="Where OpenVINO is.")
@click.option("--installed-only", is_flag=True, help="Install nothing.")
@click.option("--openvino/--no-openvino", default=True, help="Whether to compare with OpenVINO.")
@click.option("--peak/--no-peak", default=True, help="Whether to measure this CPU's INT8 peak.")
@isa_option
@out_option
def sessions(
    *,
    bundle: Path | None,
    size: int | None,
    rounds: int,
    environments: Path,
    installed_only: bool,
    openvino: bool,
    peak: bool,
    sets: tuple[Instructions, ...],
    out: Path,
) -> None:
    """Time the bare INT8 session against onnxruntime and OpenVINO on the same file, and against this CPU's INT8 peak.

    By default with the instruction set that serves, and with each slower one that this host has. onnxruntime takes part
    with FP32, too: with the bundle's file, or the INT8 network without its quantisation.
    The peak is the fastest of three large uint8 x int8 matrix products, each by onnxruntime and by our own kernel.
    """
    from benchmarks.contenders.scaled_bundle import stand_in
    from benchmarks.host.interference import describe_contention
    from benchmarks.host.machine import describe
    from benchmarks.measurements.inference.sessions import measure_sessions, sessions_table
    from benchmarks.statistics.goals import goals_table
    from runtime.bundle.manifest import Bundle

    if bundle and size:
        raise click.BadParameter("give --bundle or --size, not both", param_hint="--size")
    opened = Bundle.open(bundle or default_folder())
    if size:
        opened = Bundle.open(stand_in(opened, size, RESULTS / "bundles"))
    make(out)
    result = measure_sessions(
        opened,
        rounds=rounds,
        environments=environments,
        wanted=sets,
        install=not installed_only,
        openvino=openvino,
        peak=peak,
    )
    keep(result, out / "sessions.json")
    show(sessions_table(result), goals_table("Figures to reach", result.goals, result.neighbours))
    click.echo(f"{describe(result.machine)}; {describe_contention(result.neighbours)}")
    click.echo(f"made {out / 'sessions.json'}")
