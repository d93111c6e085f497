"""Servers under test: recipes, CPU and memory of all their processes."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.contenders.environments import environment as environment_of
from benchmarks.contenders.environments import python_of
from benchmarks.host.processes import cpu_s, resident_bytes, tree, wait_until_ended
from benchmarks.host.server_process import HOST, ServerError, answers, free_ports, running

START_S = 120
STOP_S = 30
ROOT = Path(__file__).parents[2]
OURS = ROOT / "var" / "peers" / "appliance"
PR_SET_CHILD_SUBREAPER = 36  # of <linux/prctl.h>


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
    """Start a server on a free port; it is stopped with the block, and all that it started.

    Raises ServerError if it ends, or is not ready within START_S.
    """
    _adopt_orphans()
    (port,) = free_ports(1)
    command = [part.format(port=port) for part in recipe.command]
    environment = {key: value.format(port=port) for key, value in recipe.environment.items()}
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        server = running(
            recipe.name,
            command,
            Path(folder) / "server.log",
            lambda: port if answers(port, recipe.ready) else None,
            start_s=START_S,
            environment=environment,
            folder=recipe.folder,
            stop=_stop,
        )
        with server as (process, _):
            yield Server(recipe.name, process.pid, port, time.perf_counter() - began)


def appliance(
    bundle: Path | None,
    environment: Mapping[str, str] | None = None,
    *,
    name: str = "this repository",
    checkout: Path = ROOT,
) -> Recipe:
    """The appliance of `checkout` with one bundle, and the settings in `environment`; None leaves the model to these.

    It runs in an environment of its own, which has what an edge host has and nothing else: what lies about beside it
    would be imported here and there, and would weigh. onnxruntime is there for what the native kernel does not compute,
    as in the image; nothing imports it else. Raises NotInstalled where that cannot be made.
    """
    python = _python()
    # `python -m` looks into the working directory first: another checkout's code runs, with this one's packages.
    return replace(_ours(python, "runtime", "/health/ready", bundle, environment or {}, name), folder=checkout)


def exact_appliance(bundle: Path) -> Recipe:
    """The appliance with onnxruntime's exact INT8 kernel, in the same environment."""
    module = "benchmarks.contenders.exact_appliance"
    return _ours(_python(), module, "/health/ready", bundle, {"DANDELION_NATIVE": "off"}, "onnxruntime (exact)")


def page_and_api(bundle: Path) -> Recipe:
    """The browser app and the API in one process, as `make run` serves them, in an environment of their own.

    It is ready when it answers with the first page. Raises NotInstalled where the environment cannot be made.
    """
    python = python_of(environment_of(ROOT / "pyproject.toml", OURS.with_name("page"), extra="ui,onnxruntime"))
    return _ours(python, "ui", "/", bundle, {}, "page and API")


def _python() -> Path:
    return python_of(environment_of(ROOT / "pyproject.toml", OURS, extra="onnxruntime"))


def _ours(
    python: Path, module: str, ready: str, bundle: Path | None, environment: Mapping[str, str], name: str
) -> Recipe:
    only = () if bundle is None else ("--bundle", str(bundle.resolve()))
    command = (str(python), "-m", module, "--host", HOST, "--port", "{port}", *only)
    settings = {"DANDELION_LOG_LEVEL": "warning", **environment}
    return Recipe(name=name, command=command, ready=ready, environment=settings, folder=ROOT)


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

    Only so can they be waited for, and their work be told from that of strangers (`benchmarks.host.interference`).
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
