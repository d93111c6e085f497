"""Commands that are printed run as they are printed, in a shell where nothing is activated."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.cli.say import interpreter, runnable

ROOT = Path(__file__).parents[3]
BARE = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}


def test_a_command_in_an_error_message_runs_as_it_is_printed(tmp_path: Path) -> None:
    program = f"cd {ROOT} && {sys.executable} -m training prepare --raw {tmp_path}/nothing"
    refused = subprocess.run(["bash", "-c", program], env=BARE, capture_output=True, text=True)
    assert refused.returncode == 1
    (command,) = re.findall(r"`([^`]+)`", refused.stderr)
    done = subprocess.run(["bash", "-c", f"cd {ROOT} && {command} --help"], env=BARE, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Download photos" in done.stdout


def test_an_activated_environment_needs_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", sys.prefix)
    assert runnable("next: python -m training fit") == "next: python -m training fit"


def test_a_path_from_here_is_short_and_one_with_blanks_is_quoted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv/bin/python"))
    assert runnable("next: python -m export build") == "next: .venv/bin/python -m export build"
    monkeypatch.setattr(sys, "executable", "/my tools/python")
    assert interpreter() == "'/my tools/python'"
    assert runnable("python -m pip, python") == "python -m pip, python"
