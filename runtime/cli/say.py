"""What the programs print for people: a command in it runs as it is printed, in the shell that it is printed to."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path

import click

_COMMAND = re.compile(r"\bpython(?= -m (?:runtime|training|export|benchmarks|ui)\b)")


def say(text: str) -> None:
    """Print `text` with runnable commands."""
    click.echo(runnable(text))


def runnable(text: str) -> str:
    """`text` with each `python -m …` of this project's programs as the shell finds this Python.

    Nobody has to activate an environment before a command that a message names.
    """
    return _COMMAND.sub(lambda _: interpreter(), text)


def interpreter() -> str:
    """This Python as a command: `python` in an activated environment, else its path, from here where it lies below."""
    if os.environ.get("VIRTUAL_ENV") and Path(os.environ["VIRTUAL_ENV"]).resolve() == Path(sys.prefix).resolve():
        return "python"
    program = Path(sys.executable)
    return shlex.quote(str(program.relative_to(Path.cwd()) if program.is_relative_to(Path.cwd()) else program))
