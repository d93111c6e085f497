"""Command `python -m benchmarks instructions`: instruction counts on processors that are emulated."""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks.commands.options import bundle_option, default_folder, keep, make, out_option, photos_option, show
from runtime.errors import Refusal

# Names of what can be chosen; `benchmarks.measurements.instructions` has what they stand for.
PROCESSORS = ("Nehalem", "Haswell", "cortex-a72", "cortex-a76", "neoverse-n1", "max")


@click.command()
@bundle_option
@photos_option
@click.option("--cpu", "cpus", type=click.Choice(PROCESSORS), multiple=True, help="Which; all by default.")
@click.option(
    "--size", "sizes", type=click.IntRange(32, 512), multiple=True, default=(96, 224), help="Side of the photos, px."
)
@click.option("--fp32/--no-fp32", default=True, help="Whether to count FP32, which takes longest to emulate.")
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    default=Path("var/emulated"),
    help="Where Python for ARM64 is, and what was counted of onnxruntime.",
)
@out_option
def instructions(
    *,
    bundle: Path | None,
    photos: Path | None,
    cpus: tuple[str, ...],
    sizes: tuple[int, ...],
    fp32: bool,
    cache: Path,
    out: Path,
) -> None:
    """Count the instructions of one inference on emulated processors: our kernel, and onnxruntime's INT8 and FP32.

    The same on any machine, whatever else runs there; but counts are no times, and no board was measured. Needs
    Debian 12's qemu-user, and for ARM64 packages of Debian and PyPI, which are fetched once. Exits with 1 on a figure
    that is missed.
    """
    from benchmarks.measurements.instructions.cpus import CPUS
    from benchmarks.measurements.instructions.figures import instructions_table, measure_instructions
    from benchmarks.statistics.goals import goals_table
    from runtime.bundle.manifest import Bundle

    make(out)
    opened = Bundle.open(bundle or default_folder())
    chosen = [CPUS[name] for name in cpus or PROCESSORS]
    result = measure_instructions(opened, chosen, sorted(set(sizes)), photos, cache, fp32=fp32)
    keep(result, out / "instructions.json")
    show(instructions_table(result), goals_table("Figures to reach", result.goals, result.neighbours))
    click.echo(f"photos: {', '.join(result.photos)}; {result.qemu}")
    click.echo(f"made {out / 'instructions.json'}")
    if result.missed:
        raise Refusal("missed: " + "; ".join(result.missed))
