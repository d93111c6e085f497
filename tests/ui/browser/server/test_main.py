from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.appliances.servers import free_port
from tests.support.models.bundles import write_bundle
from tests.ui.app import app
from tests.ui.browser.conftest import Visit


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ui", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ | environment)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--api", "meadow"], "--api"),
        (["--api", "ftp://meadow"], "--api"),
        (["--mlflow", "mlflow:5000"], "--mlflow"),
        (["--api", "http://me:secret@meadow:8000"], "--api"),
        (["--port", "sixty"], "--port"),
        (["--threads", "0"], "--threads"),
    ],
)
def test_a_bad_value_is_refused_in_one_line(arguments: list[str], names: str):
    ended = run(*arguments)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert names in ended.stderr
    assert "secret" not in ended.stderr


def test_a_bad_value_of_the_environment_is_refused_by_its_name():
    ended = run(DANDELION_API="not an address")
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1


def test_a_broken_bundle_is_refused_in_one_line(tmp_path: Path):
    ended = run("--bundle", str(tmp_path), "--port", "0")
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert str(tmp_path) in ended.stderr


def test_a_busy_port_is_named_with_its_remedy(tmp_path: Path):
    port = free_port()
    with app(tmp_path, "--bundle", str(write_bundle(tmp_path / "v1")), port=port):
        ended = run("--host", "127.0.0.1", "--port", str(port))
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        f"Error: cannot listen on 127.0.0.1 port {port} (Address already in use); "
        "choose another with PORT= or DANDELION_HOST="
    ]


@pytest.mark.parametrize("alone", [True, False], ids=["page-only", "with-api"])
def test_asked_to_stop_it_ends_with_0_under_an_open_page(visit: Visit, tmp_path: Path, alone: bool):
    arguments = ("--api", f"http://127.0.0.1:{free_port()}") if alone else ()
    with app(tmp_path, "--bundle", str(write_bundle(tmp_path / "v1")), *arguments) as running:
        visit(running.url).open("/monitor")
        assert running.stop() == 0
    assert "Traceback" not in running.log.read_text()
