"""The defaults of a training stand in `training.recipe` alone; everything else derives them or leaves them empty."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from training.__main__ import main
from training.recipe import DEFAULT_EPOCHS, DEFAULT_IMAGE_SIZE, UNKNOWN_EPOCHS, Recipe, epochs_for

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("command", ["fit", "evaluate"])
def test_the_command_line_has_the_recipes_defaults(command: str) -> None:
    options = {option.name: option.default for option in main.commands[command].params}
    assert (int(options["image_size"]), options["epochs"]) == (DEFAULT_IMAGE_SIZE, None)
    assert (Recipe().image_size, Recipe().epochs) == (DEFAULT_IMAGE_SIZE, DEFAULT_EPOCHS)


def test_an_unknown_class_takes_more_epochs_unless_their_number_is_given() -> None:
    assert [epochs_for(None, unknown=unknown) for unknown in (False, True)] == [DEFAULT_EPOCHS, UNKNOWN_EPOCHS]
    assert epochs_for(3, unknown=True) == 3


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("compose.yaml", r"IMAGE_SIZE: \$\{IMAGE_SIZE:-\}"),
        ("compose.yaml", r"EPOCHS: \$\{EPOCHS:-\}"),
        (".env.example", r"IMAGE_SIZE="),
        (".env.example", r"EPOCHS="),
        ("docs/own-photos.md", rf"\| `IMAGE_SIZE` \| {DEFAULT_IMAGE_SIZE} \|.*"),
        ("docs/own-photos.md", rf"\| `EPOCHS` \| {DEFAULT_EPOCHS}, {UNKNOWN_EPOCHS} with photos of other things \|.*"),
    ],
)
def test_files_leave_the_default_to_the_code_or_say_the_same(file: str, line: str) -> None:
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    assert any(re.fullmatch(line, one.strip()) for one in lines)


def test_no_deployment_sets_another_size() -> None:
    files = [
        ROOT / "Makefile",
        *(file for file in (ROOT / "deploy").rglob("*") if file.suffix in {".yaml", ".sh", ".mk"}),
    ]
    assert [file for file in files if re.search(r"IMAGE_SIZE\s*[:=]\s*\S", file.read_text(encoding="utf-8"))] == []
