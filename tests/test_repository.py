"""First steps: the commands that a newcomer runs."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from click import Group
from click.testing import CliRunner

import benchmarks.__main__
import export.__main__
import runtime.__main__
import training.__main__
from tests.support.photos import photo, write_photos

ROOT = Path(__file__).parent.parent
PROGRAMS: dict[str, Group] = {
    "training": training.__main__.main,
    "export": export.__main__.main,
    "runtime": runtime.__main__.main,
    "benchmarks": benchmarks.__main__.main,
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_every_command_has_help(program: Group) -> None:
    for name in program.commands:
        done = CliRunner().invoke(program, [name, "--help"])
        assert done.exit_code == 0
        assert len(done.output.splitlines()) > 5


def test_make_help_lists_the_targets() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {"run", "train", "test", "check"} <= {line.split()[1] for line in done.stdout.splitlines()}


@pytest.mark.parametrize("target", ["run", "train", "pipeline", "bench", "test", "check"])
def test_every_set_up_has_what_serving_needs(target: str, tmp_path: Path) -> None:
    """On a bare clone `make run` comes after `make train`, and installs nothing more."""
    dry = ["make", "--dry-run", target, f"VENV={tmp_path}"]
    said = subprocess.run(dry, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (extras,) = re.findall(r"""--editable ['"]\.\[(.*?)\]['"]""", said)
    if extras == "$extras":  # what there is for this host
        check = [sys.executable, ROOT / "deploy/local/check_host.py"]
        extras = subprocess.run(check, capture_output=True, text=True, check=True).stdout.strip()
    assert "ui" in extras.split(",")
    assert f"{tmp_path}/.serving" in said


@pytest.mark.thorough  # `ui/test_make_run.py` has another
def test_make_run_serves_on_the_port_it_is_given(tmp_path: Path) -> None:
    ours = {f"DANDELION_{name}": str(tmp_path / name.lower()) for name in ("MODELS", "DATA", "CACHE")}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        ["make", "--old-file=.venv/.serving", "run", f"PORT={port}"],  # `.venv` is left as it is
        cwd=ROOT,
        env=os.environ | ours,  # not what somebody has taught this clone
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        answer = post_when_ready(f"http://127.0.0.1:{port}/predict", process)
        assert answer["label"] in {"dandelion", "grass"}
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=60)


def post_when_ready(url: str, process: subprocess.Popen[bytes]) -> dict[str, object]:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            answer: dict[str, object] = httpx.post(url, files={"file": photo()}).json()
        except httpx.TransportError:
            time.sleep(0.2)
        else:
            return answer
    raise AssertionError("make run did not serve")


@pytest.mark.parametrize(
    ("target", "given", "seen"),
    [
        ("train", "SOURCE=it's my photos", "--source|it's my photos|"),
        ("train", 'SOURCE=$HOME/`my` "photos"', '--source|$HOME/`my` "photos"|'),
        ("run", "BUNDLE=my bundle", "DANDELION_BUNDLE=my bundle"),
        ("train", "PRODUCT=my-birds", "DANDELION_PRODUCT=my-birds"),
    ],
)
def test_a_name_with_blanks_and_quotes_is_one_argument(tmp_path: Path, target: str, given: str, seen: str) -> None:
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\nprintf "%s|" "$@"\necho\nenv | grep ^DANDELION_\nexit 0\n')
    python.chmod(0o755)
    for stamp in (".training", ".serving"):
        (tmp_path / stamp).touch()
    command = ["make", target, f"VENV={tmp_path}", given.replace("$", "$$")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert seen in done.stdout


def test_a_source_with_blanks_that_is_not_there_is_named_by_the_pipeline(tmp_path: Path) -> None:
    (tmp_path / ".airflow").touch()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    command = ["make", "pipeline", f"VENV={tmp_path}", "SOURCE=no such folder"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    assert "no such folder: there is no such folder; give a folder" in done.stderr


@pytest.mark.training
def test_photos_become_a_served_bundle_by_the_commands_of_the_readme(tmp_path: Path) -> None:
    """From a folder of photos of new classes to a bundle, each step by its command line."""
    source = write_photos(tmp_path / "source", 20, labels=("blades", "dandelion"))
    for line in (
        f"training fetch --source {source}",
        "training prepare",
        "training fit --weights none --image-size 64 --epochs 4 --precision fp32 --seed 1",
        "training evaluate",
        "export build --version mine --min-accuracy 0.5",
        "runtime check var/bundles/mine",
    ):
        done = subprocess.run(
            [sys.executable, "-m", *line.split()],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{line}: {done.stderr}"
    assert "labels blades, dandelion" in done.stdout
    assert (tmp_path / "var/report/report.html").exists()
