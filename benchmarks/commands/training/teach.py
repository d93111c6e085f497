"""Command `python -m benchmarks teach`: what it takes to teach the appliance own classes, and how good it gets."""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks.commands.options import keep, make, out_option, show
from runtime.errors import Refusal
from runtime.host.thread_priority import compute_in_own_threads

SETS = ("10x20", "50x20")
EPOCHS = 50


@click.command()
@click.option(
    "--photos",
    type=click.Path(path_type=Path),
    envvar="DANDELION_PHOTOS",
    show_envvar=True,
    help="Folder of class folders, for the figures to reach that of the 400 public photos.",
)
@click.option("--rounds", type=click.IntRange(min=1), default=3, help="Runs of each command, in turn.")
@click.option("--epochs", type=click.IntRange(min=1), default=EPOCHS, help="Of the MobileNetV2 head.")
@click.option("--seeds", type=click.IntRange(1, 100), default=10, help="Of five folds.")
@click.option("--draws", type=click.IntRange(1, 1000), default=100, help="Of 10 and of 3 photos a class.")
@click.option(
    "--set",
    "sets",
    multiple=True,
    default=SETS,
    help="Drawn photos, CLASSESxPHOTOS of each class; may be given several times.",
)
@out_option
def teach(
    *, photos: Path | None, rounds: int, epochs: int, seeds: int, draws: int, sets: tuple[str, ...], out: Path
) -> None:
    """Teach from photos in class folders, beside a MobileNetV2 head as camera software trains it.

    Times are of whole commands, cold; memory is the most that they kept resident. Accuracies are paired with those
    of scikit-learn's logistic regression: on FP32 features of the photos, and on the same features of drawn classes.
    """
    compute_in_own_threads()  # as the appliance does; PyTorch's threads are its own
    from benchmarks.host.interference import describe_contention
    from benchmarks.host.machine import describe
    from benchmarks.measurements.teaching.teach import Effort, accuracies_table, efforts_table, measure_teaching
    from benchmarks.statistics.goals import goals_table

    if photos is None:
        raise Refusal("teach: needs photos in class folders; name their folder with --photos (DANDELION_PHOTOS)")
    effort = Effort(rounds, epochs, seeds, draws, [_shape(each) for each in sets])
    make(out)
    result = measure_teaching(photos, effort)
    keep(result, out / "teach.json")
    show(efforts_table(result), accuracies_table(result))
    show(goals_table("Figures to reach", result.goals, result.neighbours))
    click.echo("the MobileNetV2 has random weights: its time and memory are those of any weights, its accuracy is not")
    if result.without_fp32:
        click.echo(f"no FP32 features: {result.without_fp32}")
    if epochs != EPOCHS:
        click.echo(f"{epochs} epochs in place of the {EPOCHS} of the recipe: no ratio may be quoted")
    click.echo(f"{describe(result.machine)}; {describe_contention(result.neighbours)}")
    click.echo(f"made {out / 'teach.json'}")


def _shape(text: str) -> tuple[int, int]:
    classes, times, each = text.partition("x")
    if not (times and classes.isdecimal() and each.isdecimal() and 2 <= int(classes) <= 1000 and int(each) >= 5):
        raise click.BadParameter(f"{text!r} is not CLASSESxPHOTOS, as in 10x20; at least 2x5", param_hint="--set")
    return int(classes), int(each)
