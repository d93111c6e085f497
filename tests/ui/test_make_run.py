"""`make run`, as somebody at a terminal sees it."""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.appliances.servers import free_port
from tests.support.models.bundles import write_bundle

ROOT = Path(__file__).parents[2]
EVERYWHERE = "0.0.0.0"  # noqa: S104 - where it listens by default
OF_ANOTHER_MAKE = {"MAKELEVEL", "MAKEFLAGS", "MFLAGS"}  # of `make test`, which would have this one say where it is
CTRL_C = b"\x03"

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="install make")


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """What stands for .venv: this Python, and the mark that all is installed."""
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (tmp_path / "venv" / ".serving").touch()
    return tmp_path / "venv"


@pytest.fixture
def make_run(environment: Path, tmp_path: Path) -> Callable[..., tuple[str, int]]:
    """Runs it at a terminal until it ends; presses Ctrl-C once it has said `until`. What it said, and its status."""
    bundle = write_bundle(tmp_path / "v1")

    def run(port: int, until: str | None = None, *, ignores: bool = False) -> tuple[str, int]:
        process, terminal = pty.fork()
        if process == 0:
            os.chdir(ROOT)
            signal.signal(signal.SIGINT, signal.SIG_IGN if ignores else signal.SIG_DFL)  # whatever runs the tests has
            stores = {"DANDELION_MODELS": "", "DANDELION_DATA": str(tmp_path / "data"), "PYTHONPATH": str(ROOT)}
            command = ["make", "run", f"VENV={environment}", f"PORT={port}", f"BUNDLE={bundle}"]
            ours = {name: value for name, value in os.environ.items() if name not in OF_ANOTHER_MAKE}
            os.execvpe("make", command, ours | stores)  # noqa: S606 - no shell
        said = b""
        while True:
            try:
                part = os.read(terminal, 4096)
            except OSError:  # the terminal's other end is closed
                break
            said += part
            if until and until.encode() in said:
                os.write(terminal, CTRL_C)
                until = None
        _, status = os.waitpid(process, 0)
        return said.decode().replace("\r\n", "\n"), status

    return run


def test_it_ends_with_where_to_open_the_page_and_is_quiet_on_ctrl_c(make_run: Callable[..., tuple[str, int]]):
    port = free_port()
    said, _ = make_run(port, until=f"Open http://localhost:{port}")
    lines = [line for line in said.replace("^C", "").splitlines() if line]
    assert re.fullmatch(rf"Open http://localhost:{port}( · on your phone http://\S+:{port})?", lines[-1])
    assert "python" not in said  # no recipe
    assert "Traceback" not in said
    assert "make" not in said


@pytest.mark.thorough
def test_a_busy_port_is_one_line_that_names_the_remedy(make_run: Callable[..., tuple[str, int]]):
    with socket.socket() as busy:
        busy.bind((EVERYWHERE, 0))
        busy.listen()
        port = busy.getsockname()[1]
        said, status = make_run(port)
        with_line, ignored_status = make_run(port, ignores=True)
    reason = (
        f"Error: cannot listen on {EVERYWHERE} port {port} (Address already in use); "
        "choose another with PORT= or DANDELION_HOST="
    )
    assert said.splitlines() == [reason]
    assert with_line.splitlines()[0] == reason
    assert status != 0
    assert ignored_status != 0
