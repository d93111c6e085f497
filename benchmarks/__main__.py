"""Command line of `python -m benchmarks`: registers the commands."""

from __future__ import annotations

import sys

import click

from benchmarks.commands.batch import batch
from benchmarks.commands.decode import decode
from benchmarks.commands.inference.answers import answers
from benchmarks.commands.inference.instructions import instructions
from benchmarks.commands.inference.latency import latency
from benchmarks.commands.inference.sessions import sessions
from benchmarks.commands.peers import peers
from benchmarks.commands.report import report
from benchmarks.commands.robustness import robustness
from benchmarks.commands.serving.advise import advise
from benchmarks.commands.serving.clients import clients
from benchmarks.commands.serving.footprint import footprint
from benchmarks.commands.serving.load import load
from benchmarks.commands.serving.page import page
from benchmarks.commands.serving.reload import reload
from benchmarks.commands.serving.requests import requests
from benchmarks.commands.training.calibration import calibration
from benchmarks.commands.training.teach import teach
from benchmarks.commands.training.training import training
from runtime.cli.group import Commands


@click.group(cls=Commands, extra="benchmarks", context_settings={"show_default": True})
def main() -> None:
    """Measure this host, and this product against what it replaces.

    Contenders take turns; figures are medians with intervals. Raw samples are kept as JSON.
    """


for command in (
    *(latency, training, calibration, decode, robustness),
    *(load, footprint, page, peers, sessions, batch, reload, requests, clients, instructions, answers),
    *(advise, teach, report),
):
    main.add_command(command)

if __name__ == "__main__":
    sys.exit(main(prog_name="python -m benchmarks"))
