"""The base dependencies alone, in an environment of their own: an appliance of the native kernel."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from benchmarks.host.server_process import HOST, answers, running
from runtime.native.library import library
from tests.support.models.bundles import write_bundle
from tests.support.photos import photo

ROOT = Path(__file__).parents[3]
UV = Path(sys.executable).with_name("uv")
START_S = 60
ELSEWHERE = {"PYTHONPATH": ""}  # nothing leads to this checkout

pytestmark = pytest.mark.skipif(not UV.exists(), reason="make .venv/.test")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The interpreter of an environment with this package and its base dependencies, far from other environments."""
    folder = tmp_path_factory.mktemp("base")
    uv = [UV, "--quiet"]
    subprocess.run([*uv, "venv", "--python", sys.executable, folder / "venv"], check=True)
    install = ["pip", "install", "--python", folder / "venv", ROOT]
    done = subprocess.run([*uv, *install], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "venv" / "bin" / "python"


def run(python: Path, *arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | ELSEWHERE
    return subprocess.run([python, *arguments], cwd=folder, env=environment, capture_output=True, text=True)


def test_onnxruntime_is_not_among_them(python: Path, tmp_path: Path) -> None:
    told = run(python, "-c", "import runtime; print(runtime.__file__); import onnxruntime", folder=tmp_path)
    assert str(python.parents[1]) in told.stdout
    assert "No module named 'onnxruntime'" in told.stderr


def test_it_answers_for_a_photo_with_the_native_kernel(python: Path, tmp_path: Path) -> None:
    found = library()
    if found is None:
        told = run(python, "-m", "runtime", "check", folder=tmp_path)
        assert re.fullmatch(r"Error: .* needs onnxruntime, which is not installed.*\n", told.stderr)
        return
    log = tmp_path / "appliance.log"

    def port() -> int | None:
        told = re.search(r"http://localhost:(\d+)", log.read_text(errors="replace"))
        return int(told[1]) if told and answers(int(told[1]), "/health/ready") else None

    command = [str(python), "-m", "runtime", "--host", HOST, "--port", "0"]
    with running("appliance", command, log, port, start_s=START_S, environment=ELSEWHERE, folder=tmp_path) as (
        _,
        where,
    ):
        url = f"http://{HOST}:{where}"
        answer = httpx.post(f"{url}/predict", files={"file": photo()})
        assert answer.json()["label"] == "dandelion"
        assert httpx.get(f"{url}/model").json()["serving"]["kernel"] == found.instructions


def test_another_graph_is_refused_in_one_line_that_says_what_to_install(python: Path, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "v1")
    told = run(python, "-m", "runtime", "check", bundle, folder=tmp_path)
    assert told.returncode == 1
    assert re.fullmatch(r"Error: .*v1: needs onnxruntime, .*; pip install 'onnxruntime>=[^\n]*\n", told.stderr)


HELP = """
import importlib, sys, click
def say(command, *path):
    context = click.Context(command, info_name=path[-1])
    assert command.get_help(context)
    print(*path)
    for name in command.list_commands(context) if isinstance(command, click.Group) else ():
        say(command.get_command(context, name), *path, name)
program = sys.argv[1]
say(importlib.import_module(program + ".__main__").main, program)
"""


def test_every_command_of_every_program_says_what_it_is_for(python: Path, tmp_path: Path) -> None:
    found: list[str] = []
    for program in ("runtime", "ui", "training", "export", "benchmarks"):
        told = run(python, "-c", HELP, program, folder=tmp_path)
        assert (told.returncode, told.stderr) == (0, "")
        found += told.stdout.splitlines()
    assert {"runtime serve", "runtime models pin", "ui", "export build", "benchmarks robustness"} <= set(found)


@pytest.mark.parametrize(
    ("command", "extra"), [(("ui",), "ui"), (("export", "build", "--checkpoint", "none.pt"), "export")]
)
def test_a_program_whose_packages_are_not_there_names_the_extra(
    python: Path, tmp_path: Path, command: tuple[str, ...], extra: str
) -> None:
    told = run(python, "-m", *command, folder=tmp_path)
    assert told.returncode == 1
    assert re.fullmatch(rf"Error: the package \w+ is not installed; .*pip install '\.\[{extra}\]'\n", told.stderr)
