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


# A whole command that is printed: after "next: ", or between backticks within a message.
PRINTED = re.compile(
    rf"(?:next(?:, there)?: |`)((?:[A-Z_]+=\S+ )*(?:python -m (?:{'|'.join(ROOMS)})|make [a-z]+)\b[^`\"\n]*)"
)
PRINTING = ("runtime", "training", "export", "dags", "ui", "benchmarks", "deploy/local")
TARGETS = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))


def printed() -> Iterator[tuple[str, list[str]]]:
    """File and words of each whole command in what is printed, each value that is filled in as `X`."""
    done = subprocess.run(["git", "ls-files", "--", *PRINTING], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in done.stdout.splitlines():
        if not name.endswith((".py", ".sh")) or name.startswith("benchmarks/peers/"):
            continue
        text = without_comments((ROOT / name).read_text()).replace(r"\n", "\n")
        for found in PRINTED.finditer(re.sub(r"\"\s*\n\s*f?\"", "", re.sub(r"\{[^{}]*\}", "X", text))):
            for part in re.split(r", then | then |, |; | \(", found[1]):
                words = [word.strip("\\") for word in part.split() if not re.match(r"[A-Z_]+=", word)]
                if words[:1] in (["python"], ["make"]):
                    yield name, words


def without_comments(text: str) -> str:
    return re.sub(r"(?m)^ *#.*$", "", re.sub(r'"""(?:.|\n)*?"""', "", text))


def unfit(words: list[str]) -> str | None:
    """Why a whole command would not do as it is printed."""
    if words[0] == "make":
        return next((f"no target {word}" for word in words[1:] if "=" not in word and word not in TARGETS), None)
    command, rest = commands_of(words[2]), words[3:]
    while isinstance(command, click.Group) and rest:
        found = command.get_command(click.Context(command), rest[0])
        if found is None:
            return f"no command {rest[0]}"
        command, rest = found, rest[1:]
    try:
        _, left, order = command.make_parser(click.Context(command)).parse_args(list(rest))
    except click.UsageError as error:
        return error.format_message()
    there = {one.name for one in order} if rest else set()
    values = sum(1 for one in order if isinstance(one, click.Option) and not one.is_flag)
    given = len(rest) - sum(word.startswith("--") for word in rest) - values
    needed = [
        one
        for one in command.params
        if one.required and one.name not in (there if isinstance(one, click.Option) else ())
    ]
    arguments = [one for one in needed if isinstance(one, click.Argument)][:given]
    lacks = [one.human_readable_name for one in needed if one not in arguments]
    return f"needs {', '.join(lacks)}" if lacks else (f"takes no {left[0]}" if left else None)


def test_every_whole_command_that_is_printed_can_be_run_as_it_is() -> None:
    found = list(printed())
    assert len(found) > 25
    wrong = {f"{file}: {' '.join(words)}: {why}" for file, words in found if (why := unfit(words))}
    assert wrong == set()


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("python -m runtime models promote", "needs VERSION"),
        ("python -m runtime models promote v1 --models X", None),
        ("python -m runtime models promote --models X", "needs VERSION"),
        ("python -m export compare X --nothing", "No such option '--nothing'."),
        ("python -m export build X", "takes no X"),
        ("make everything", "no target everything"),
        ("make run BUNDLE=X", None),
    ],
)
def test_a_command_that_could_not_be_run_is_found(command: str, why: str | None) -> None:
    assert unfit(command.split()) == why
