"""Options that several commands share: the recipe's, with its defaults."""

from __future__ import annotations

from pathlib import Path

import click

from runtime.names import entries
from training.recipe import (
    AUTO,
    DEFAULT_EPOCHS,
    DEFAULT_IMAGE_SIZE,
    DEFAULT_OTHER,
    DEFAULT_SEED,
    DEFAULT_WEIGHTS,
    LARGEST,
    NO_OTHER,
    PUBLIC_OTHER,
    SMALLEST,
    STEP,
    UNKNOWN_EPOCHS,
    ImageSize,
)

PROCESSED = Path("var/data/processed")
OTHER_VARIABLE = "DANDELION_OTHER"


def side(_: click.Context, __: click.Parameter, text: str) -> int:
    """Click callback: a side in px that the network takes."""
    if not text.isdecimal() or int(text) % STEP or not SMALLEST <= int(text) <= LARGEST:
        raise click.BadParameter(f"{text[:40]} is not a multiple of {STEP} from {SMALLEST} to {LARGEST}")
    return int(text)


def side_or_auto(context: click.Context, parameter: click.Parameter, text: str) -> ImageSize:
    """Click callback: a side, or `auto`."""
    try:
        return AUTO if text == AUTO else side(context, parameter, text)
    except click.BadParameter as error:
        raise click.BadParameter(f"{error.message}, or {AUTO}") from None


image_size = click.option(
    "--image-size",
    default=str(DEFAULT_IMAGE_SIZE),
    envvar="IMAGE_SIZE",
    show_envvar=True,
    callback=side_or_auto,
    help=f"Side of the model's square input, a multiple of {STEP} px; {AUTO}: measure which one is enough.",
)
epochs = click.option(
    "--epochs",
    type=click.IntRange(1, 1000),
    default=None,
    envvar="EPOCHS",
    show_envvar=True,
    help=f"Passes over the photos; {DEFAULT_EPOCHS} if not given, {UNKNOWN_EPOCHS} with photos of other things.",
)
weights = click.option(
    "--weights", default=DEFAULT_WEIGHTS, help="imagenet, none, or the path of a ResNet18 state dict."
)
seed = click.option("--seed", type=int, default=DEFAULT_SEED, help="Same seed, same machine: same result.")


def kinds(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> list[list[str]]:
    """Click callback: groups of kinds of other things, each `KIND,KIND`."""
    return [entries(text) for text in texts if entries(text)]


other = click.option(
    "--other",
    default=DEFAULT_OTHER,
    envvar=OTHER_VARIABLE,
    show_envvar=True,
    help=f"Photos of none of the classes, from which a model learns to say so: {PUBLIC_OTHER}, a folder of "
    f"<kind>/<photo>, or {NO_OTHER}.",
)
no_other = click.option("--no-other", is_flag=True, help=f"The same as --other {NO_OTHER}.")
data = click.option("--data", type=click.Path(path_type=Path), default=PROCESSED, help="A prepared dataset.")
