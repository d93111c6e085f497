"""Command `python -m benchmarks answers`: the same bytes on every processor."""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks.commands.inference.instructions import PROCESSORS
from benchmarks.commands.options import bundle_option, default_folder, keep, make, out_option, photos_option, show
from runtime.errors import Refusal


@click.command()
@bundle_option
@photos_option
@click.option(
    "--other",
    type=click.Path(path_type=Path),
    envvar="DANDELION_OTHER_PHOTOS",
    show_envvar=True,
    help="Folder of more photos, of other things.",
)
@click.option("--count", type=click.IntRange(1, 10_000), default=40, help="Photos; drawn ones fill up.")
@click.option("--cpu", "cpus", type=click.Choice(PROCESSORS), multiple=True, help="Which to emulate; all by default.")
@click.option(
    "--cache", type=click.Path(path_type=Path), default=Path("var/emulated"), help="Where compiled programs are kept."
)
@out_option
def answers(
    *,
    bundle: Path | None,
    photos: Path | None,
    other: Path | None,
    count: int,
    cpus: tuple[str, ...],
    cache: Path,
    out: Path,
) -> None:
    """Compare the native kernel's answers on every processor, byte by byte: this host's, and emulated ones.

    Each instruction set computes the same photos at the bundle's size; scores, probabilities and activations are
    compared with those of the scalar reference. Needs Debian's qemu-user; a photo takes some seconds. Exits with 1 if
    a byte differs.
    """
    from benchmarks.measurements.instructions.answers import answers_table, compare_answers
    from benchmarks.measurements.instructions.cpus import CPUS
    from runtime.bundle.manifest import Bundle

    make(out)
    opened = Bundle.open(bundle or default_folder())
    folders = [folder for folder in (photos, other) if folder is not None]
    result = compare_answers(opened, [CPUS[name] for name in cpus or PROCESSORS], count, folders, cache)
    keep(result, out / "answers.json")
    show(answers_table(result))
    click.echo(f"{result.qemu}; made {out / 'answers.json'}")
    if result.different:
        raise Refusal("answers differ: " + "; ".join(result.different))
