"""Options and output that several commands share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from runtime.errors import Refusal
from runtime.native.layout import NAMES

if TYPE_CHECKING:
    from rich.table import Table

    from runtime.bundle.manifest import Bundle

RESULTS = Path("var/benchmarks")

F = TypeVar("F", bound=Callable[..., Any])


def bundle_option(function: F) -> F:
    """`--bundle`, once."""
    return click.option(
        "--bundle", type=click.Path(path_type=Path), envvar="DANDELION_BUNDLE", show_envvar=True, help="Default: ours."
    )(function)


def photos_option(function: F) -> F:
    """`--photos`."""
    return click.option(
        "--photos",
        type=click.Path(path_type=Path),
        envvar="DANDELION_PHOTOS",
        show_envvar=True,
        help="Folder of JPEG photos; drawn ones of 275 x 183 px if not given.",
    )(function)


def out_option(function: F) -> F:
    """`--out`."""
    return click.option(
        "--out", type=click.Path(path_type=Path), default=RESULTS, help="Folder of the JSON and the plots."
    )(function)


def isa_option(function: F) -> F:
    """`--isa`, as often as wanted."""
    return click.option(
        "--isa",
        "sets",
        type=click.Choice(NAMES),
        multiple=True,
        help="An instruction set of the native kernel, as DANDELION_NATIVE names it.",
    )(function)


def bundles_options(function: F) -> F:
    """`--bundle` and `--size`, each as often as wanted."""
    function = click.option(
        "--size",
        "sizes",
        type=click.IntRange(32, 512),
        multiple=True,
        help="Also the same network at this input size, px, for which it was not trained.",
    )(function)
    return click.option(
        "--bundle",
        "bundles",
        type=click.Path(path_type=Path),
        multiple=True,
        help="A bundle's folder; ours by default.",
    )(function)


def open_bundles(folders: Sequence[Path], sizes: Sequence[int]) -> list[Bundle]:
    """The bundles that were named, or ours; then for each size the network of the first."""
    from benchmarks.contenders.scaled_bundle import stand_in
    from runtime.bundle.manifest import Bundle

    named = [Bundle.open(folder) for folder in folders] or [Bundle.open(default_folder())]
    return named + [Bundle.open(stand_in(named[0], size, RESULTS / "bundles")) for size in sizes]


def default_folder() -> Path:
    """The folder of the default bundle."""
    from runtime.bundle.default import default_bundle
    from runtime.bundle.manifest import BundleError

    try:
        return default_bundle()
    except BundleError as error:
        raise Refusal("this checkout carries no default bundle; name one with --bundle") from error


def make(folder: Path) -> None:
    """Before minutes are spent on what could then not be kept."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refusal(f"{folder}: {error.strerror}; choose another folder with --out") from error


def keep(result: msgspec.Struct, file: Path) -> None:
    """Write a result with its raw samples; they are many, so one line."""
    file.write_bytes(msgspec.json.encode(result) + b"\n")


def show(*tables: Table) -> None:
    """Print tables, wide enough for their columns where nobody watches."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 170)
    for table in tables:
        console.print(table)
