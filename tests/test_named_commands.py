"""Every command that the product or its documents name exists: whoever follows an error message gets on."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("runtime", "training", "export", "benchmarks", "ui")
NAMED = re.compile(rf"python -m ({'|'.join(ROOMS)})\b((?: [a-z][a-z-]*)*)")
SOURCES = ("*.py", "*.md", "*.js", "*.yaml", "*.yml", "*.sh", "*.j2", "Makefile", "*Dockerfile*")


def named() -> Iterator[tuple[str, str, str]]:
    """File, room and the words after it, of each command; a line may break anywhere within one."""
    done = subprocess.run(["git", "ls-files", "--", *SOURCES], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in done.stdout.splitlines():
        file = ROOT / name
        if name.startswith("tests/") or not file.is_file():
            continue
        text = re.sub(r"[\s\"'#]*\n[\s\"'f#]*", " ", file.read_text())
        yield from ((name, found[1], found[2].strip()) for found in NAMED.finditer(text))


def commands_of(room: str) -> click.Command:
    main = __import__(f"{room}.__main__", fromlist=["main"]).main
    assert isinstance(main, click.Command)
    return main


def missing(command: click.Command, words: list[str]) -> str | None:
    """The first word that should be a command and is none."""
    while isinstance(command, click.Group) and words:
        found = command.get_command(click.Context(command), words[0])
        if found is None:
            return words[0]
        command, words = found, words[1:]
    return None


@pytest.mark.parametrize("room", ROOMS)
def test_every_command_that_is_named_exists(room: str) -> None:
    found = [(file, words) for file, one, words in named() if one == room]
    assert found
    main = commands_of(room)
    wrong = {f"{file}: python -m {room} {words}" for file, words in found if missing(main, words.split())}
    assert wrong == set()


def test_a_command_that_does_not_exist_is_found() -> None:
    assert missing(commands_of("export"), ["publish"]) == "publish"
    assert missing(commands_of("runtime"), ["models", "publish", "somewhere"]) is None
    assert missing(commands_of("runtime"), ["models", "nothing"]) == "nothing"
