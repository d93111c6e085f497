"""Options and output that several commands share."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from runtime.cli.say import say

if TYPE_CHECKING:
    from runtime.bundle.manifest import Bundle

DATA = Path("var/data/processed")
BUNDLES = Path("var/bundles")

min_accuracy_option = click.option(
    "--min-accuracy",
    type=click.FloatRange(0, 1),
    envvar="DANDELION_MIN_ACCURACY",
    show_envvar=True,
    help="Refuse a model below this validation accuracy; 0.93 for the public photos, no floor for others if not given.",
)
bundle_argument = click.argument("bundle", type=click.Path(exists=True, file_okay=False, path_type=Path))
tolerance_option = click.option(
    "--tolerance",
    type=click.FloatRange(0, 1),
    default=0.02,
    help="Promote unless it is right on fewer photos by more than this share.",
)
replace_option = click.option(
    "--replace", is_flag=True, help="Also take the place of a model of another product, or of other labels."
)
validation_option = click.option(
    "--data", type=click.Path(path_type=Path), default=DATA, help="Whose validation photos."
)


def say_made(before: Bundle, made: Bundle, *, signed: bool) -> None:
    """Say where the new version is, and whether it lost the signature of the one before."""
    from export.bundle.new_version import is_signed

    click.echo(f"made {made.path}{', signed' if signed else ''}")
    if is_signed(before) and not signed:
        click.echo(f"{before.path} is signed and this version is not: DANDELION_SIGNING_KEY was not given")
    say(f"next: make run BUNDLE={quote(str(made.path))}")
