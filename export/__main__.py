"""Command line of `python -m export`: build, sweep, compare, release, reorder, record, backbone."""

from __future__ import annotations

import sys

import click

from export.commands.backbone import backbone
from export.commands.build import build
from export.commands.compare import compare
from export.commands.record import record
from export.commands.release import release_bundle
from export.commands.reorder import reorder
from export.commands.sweep import sweep
from runtime.cli.group import Commands
from training.openmp import sleep_at_barriers


@click.group(cls=Commands, extra="export", context_settings={"show_default": True})
def main() -> None:
    """Turn a checkpoint into a bundle that the runtime serves.

    \b
    python -m export build                      the bundle of the latest training
    python -m export sweep                      accuracy and latency at several input sizes
    python -m export compare BUNDLE             photo by photo, with the version that is served
    python -m export release BUNDLE             compare, publish, register
    python -m export reorder BUNDLE             the same model, with less to compute
    python -m export record BUNDLE              the same model, golden cases by the native kernel
    python -m export backbone                   what models that are taught on an appliance stand on
    """
    sleep_at_barriers()


for command in (build, sweep, compare, release_bundle, reorder, record, backbone):
    main.add_command(command)

if __name__ == "__main__":
    sys.exit(main(prog_name="python -m export"))
