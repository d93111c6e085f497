"""Any server as a process of its own: start it, wait until it answers, see what it uses, stop it."""

from __future__ import annotations

import ctypes
import http.client
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from benchmarks.environments import environment as environment_of
from benchmarks.environments import python_of
from benchmarks.processes import cpu_s, resident_bytes, tree, wait_until_ended
from runtime.commands import Refusal

START_S = 120
STOP_S = 30
HOST = "127.0.0.1"
ROOT = Path(__file__).parents[1]
OURS = ROOT / "var" / "peers" / "appliance"
PR_SET_CHILD_SUBREAPER = 36  # of <linux/prctl.h>


class ServerError(Refusal):
    """A server that did not start, or ended while it was measured; the message ends with the last it said."""


@dataclass(frozen=True)
class Recipe:
    """How to start a server: `command` with `{port}` where the port belongs, and the path that is 200 when it is ready.

    `environment` is added to ours; `folder` is where it runs.
    """

    name: str
    command: Sequence[str]
    ready: str
    environment: Mapping[str, str]
    folder: Path | None = None


@dataclass(frozen=True)
class Server:
    """One that is ready; `start_s` is from its start to its first ready answer."""

    name: str
    pid: int
    port: int
    start_s: float

    def resident_bytes(self) -> int:
        """Memory of all its processes; raises ServerError where it has ended."""
        return resident_bytes(self._tree())

    def cpu_s(self) -> float:
        """Seconds of work of all its processes since they started."""
        return cpu_s(self._tree())

    def processes(self) -> int:
        """How many there are."""
        return len(self._tree())

    def _tree(self) -> list[int]:
        pids = tree(self.pid)
        if not pids:
            raise ServerError(f"{self.name}: the server ended while it was measured; start it by hand to see why")
        return pids


@contextmanager
def serving(recipe: Recipe) -> Iterator[Server]:
    """Start a server on a free port; it is stopped with the block.

    Raises ServerError where it ends, or is not ready within START_S.
    """
    _adopt_orphans()
    port = _free_port()
    command = [part.format(port=port) for part in recipe.command]
    environment = os.environ | {key: value.format(port=port) for key, value in recipe.environment.items()}
    with tempfile.TemporaryFile() as log:
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment,
            cwd=recipe.folder,
            start_new_session=True,
        )
        try:
            _wait_until_ready(recipe, process, port, log)
            yield Server(recipe.name, process.pid, port, time.perf_counter() - began)
        finally:
            _stop(process)


def appliance(bundle: Path, environment: Mapping[str, str] | None = None, *, name: str = "this repository") -> Recipe:
    """The appliance of this checkout with one bundle, and the settings in `environment`.

    It runs in an environment of its own, which has what an edge host has and nothing else: what lies about beside it
    would be imported here and there, and would weigh. Raises NotInstalled where that cannot be made.
    """
    python = python_of(environment_of(ROOT / "pyproject.toml", OURS))
    return _ours(python, "runtime", "/health/ready", bundle, environment or {}, name)


def page_and_api(bundle: Path) -> Recipe:
    """The browser app and the API in one process, as `make run` serves them, in an environment of their own.

    It is ready when it answers with the first page. Raises NotInstalled where the environment cannot be made.
    """
    python = python_of(environment_of(ROOT / "pyproject.toml", OURS.with_name("page"), extra="ui"))
    return _ours(python, "ui", "/", bundle, {}, "page and API")


def _ours(python: Path, module: str, ready: str, bundle: Path, environment: Mapping[str, str], name: str) -> Recipe:
    command = (str(python), "-m", module, "--host", HOST, "--port", "{port}", "--bundle", str(bundle.resolve()))
    settings = {"DANDELION_LOG_LEVEL": "warning", **environment}
    return Recipe(name=name, command=command, ready=ready, environment=settings, folder=ROOT)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(recipe: Recipe, process: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if _answers(port, recipe.ready):
            return
        if process.poll() is not None:
            raise ServerError(f"{recipe.name}: the server ended with {process.returncode}: {_last_words(log)}")
        time.sleep(0.01)
    raise ServerError(f"{recipe.name}: the server was not ready within {START_S} s: {_last_words(log)}")


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _last_words(log: IO[bytes]) -> str:
    log.seek(0)
    lines = [line for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip()[:300] if lines else "it said nothing"


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask it to stop, then insist; nothing that it started is left behind, and all is waited for."""
    started = [pid for pid in tree(process.pid) if pid != process.pid]
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
    for pid in [process.pid, *wait_until_ended(started, timeout_s=1)]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
    for pid in started:
        with suppress(ChildProcessError):  # collected by its own parent
            os.waitpid(pid, 0)


def _adopt_orphans() -> None:
    """Become the parent of processes whose own has ended without waiting for them (prctl(2)), where Linux allows.

    Only so can they be waited for, and their work be told from that of strangers (`benchmarks.neighbours`).
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
