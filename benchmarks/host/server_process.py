"""Start a server as a child process, wait until it is ready, stop it."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from runtime.errors import Refusal

HOST = "127.0.0.1"
STOP_S = 30
LAST_LINES, LAST_CHARACTERS = 5, 500  # of a log, in an error

# Starts a command with this environment, its output in a file, in this folder or ours.
Start = Callable[[Sequence[str], Mapping[str, str], BinaryIO, Path | None], "subprocess.Popen[bytes]"]
Stop = Callable[["subprocess.Popen[bytes]"], None]


class ServerError(Refusal):
    """A server that did not start, or ended while it was used; the message ends with the last lines of its log."""


@contextmanager
def running(
    name: str,
    command: Sequence[str],
    log: Path,
    ready: Callable[[], int | None],
    *,
    start_s: float,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    start: Start | None = None,
    stop: Stop | None = None,
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start `command` with its output in `log`; yields the process and its port, and stops it after the block.

    `ready` returns the port as soon as the server answers there, None until then. `environment` is added to ours,
    `folder` is where it runs, `start_session` starts it and `terminate` stops it, unless others are given.
    Raises ServerError if the server ends, or is not ready within `start_s`.
    """
    with log.open("wb") as output:
        process = (start or start_session)(command, os.environ | dict(environment or {}), output, folder)
    try:
        yield process, _wait_until_ready(name, process, log, ready, start_s)
    finally:
        (stop or terminate)(process)


def start_session(
    command: Sequence[str], environment: Mapping[str, str], output: BinaryIO, folder: Path | None
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, with nothing to read."""
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd=folder,
        start_new_session=True,
    )


def terminate(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to stop, kill it if it has not after STOP_S, and wait for its end."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=STOP_S)
    except subprocess.TimeoutExpired:
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and wait for its end."""
    process.kill()
    process.wait()


def answers(port: int, path: str) -> bool:
    """Whether a server on this machine answers a GET with 200."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, no two the same: all are held until the last is chosen."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.create_server((HOST, 0))) for _ in range(count)]
        return [int(probe.getsockname()[1]) for probe in probes]


def _wait_until_ready(
    name: str, process: subprocess.Popen[bytes], log: Path, ready: Callable[[], int | None], start_s: float
) -> int:
    deadline = time.monotonic() + start_s
    while time.monotonic() < deadline:
        port = ready()
        if port is not None:
            return port
        if process.poll() is not None:
            raise ServerError(f"{name}: the server ended with {process.returncode}: {_last_lines(log)}")
        time.sleep(0.01)
    raise ServerError(f"{name}: the server was not ready within {start_s} s: {_last_lines(log)}")


def _last_lines(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return " / ".join(lines[-LAST_LINES:])[-LAST_CHARACTERS:] or "it said nothing"
