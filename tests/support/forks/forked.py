"""Processes forked from a fork server (tests/support/forks/forkserver.py), to be used as `subprocess.Popen` is."""

from __future__ import annotations

import atexit
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO

from benchmarks.host.server_process import start_session

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "-m", "tests.support.forks.forkserver"]
# Variables that a program reads once it runs; others may be read by what the fork server has loaded.
READ_LATE = ("DANDELION_", "MINIO_", "AWS_", "MLFLOW_", "PYTEST_", "KMP_", "PORT")


class ForkServer:
    """One for each process that runs tests. Thread-safe."""

    def __init__(self, *kind: str) -> None:
        """One of a kind (`forkserver.IMPORTED`), or one that has imported nothing."""
        self._lock = threading.Lock()
        self._channel, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._environment = dict(os.environ)
        with other:
            self.process = subprocess.Popen(
                [*COMMAND, str(other.fileno()), str(os.getpid()), *kind],
                stdin=subprocess.DEVNULL,
                pass_fds=[other.fileno()],
                cwd=ROOT,
            )

    def can_fork(self, command: Sequence[str], environment: Mapping[str, str]) -> bool:
        """Whether a fork would be as the process that `command` starts here."""
        names = environment.keys() | self._environment.keys()
        different = (name for name in names if environment.get(name) != self._environment.get(name))
        module = [*command[:2]] == [sys.executable, "-m"]
        return module and Path.cwd() == ROOT and all(name.startswith(READ_LATE) for name in different)

    def fork(self, module: str, arguments: Sequence[str], environment: Mapping[str, str], *output: BinaryIO) -> int:
        """The pid of a process that does as `python -m module` does, with its output in a file, its errors in another.

        Where one file is given, both are in it.
        """
        order = {"module": module, "arguments": [*arguments], "environment": dict(environment)}
        return self._order(order, [file.fileno() for file in output])

    def reap(self, pid: int) -> int:
        """The exit code of a process that it has forked and that has ended, negative for a signal."""
        return self._order({"reap": pid}, [])

    def stop(self) -> None:
        """End it, and all that it has forked."""
        self._channel.close()
        self.process.wait()

    def _order(self, order: dict[str, Any], files: list[int]) -> int:
        with self._lock:
            socket.send_fds(self._channel, [json.dumps(order).encode()], files)
            answer = self._channel.recv(100)
        assert answer, "the fork server has ended"
        return int(answer)


class ForkedProcess(subprocess.Popen[bytes]):
    """A process of a fork server; it stays a zombie until it is polled or waited for, as a child does."""

    _child_created = False  # nothing for Popen's own end to look after

    def __init__(self, server: ForkServer, command: Sequence[str], pid: int) -> None:
        self.args = command
        self.pid = pid
        self.returncode = None
        self.stdin = self.stdout = self.stderr = None
        self._server = server
        self._reaping = threading.Lock()
        self._ending = os.pidfd_open(pid)
        weakref.finalize(self, os.close, self._ending)

    def poll(self) -> int | None:
        with self._reaping:
            if self.returncode is None and _is_readable(self._ending, 0):
                self.returncode = self._server.reap(self.pid)
            return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            _is_readable(self._ending, left)
        return code


def _is_readable(file: int, timeout_s: float | None) -> bool:
    poll = select.poll()
    poll.register(file, select.POLLIN)
    return bool(poll.poll(None if timeout_s is None else timeout_s * 1000))


@cache
def fork_server(kind: str) -> ForkServer:
    """Started when it is first asked for."""
    server = ForkServer(kind)
    atexit.register(server.stop)
    return server


KIND_OF = {"ui": "page", "tests.pipelines.steps": "pipeline"}  # of all other modules: "appliance"


def fork(
    command: Sequence[str], environment: Mapping[str, str], output: BinaryIO, folder: Path | None
) -> subprocess.Popen[bytes]:
    """Start a process as `start_session` does, in a moment: forked, if it would be the same and Linux can."""
    if folder or not hasattr(os, "pidfd_open") or command[1] != "-m":
        return start_session(command, environment, output, folder)
    _, _, module, *arguments = command
    server = fork_server(KIND_OF.get(module, "appliance"))
    if not server.can_fork(command, environment):
        return start_session(command, environment, output, folder)
    return ForkedProcess(server, command, server.fork(module, arguments, environment, output))


def run(module: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m module` to its end, as `subprocess.run` with its output captured: forked, if Linux can."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    surroundings = os.environ | environment
    server = fork_server(KIND_OF.get(module, "appliance")) if hasattr(os, "pidfd_open") else None
    if not server or not server.can_fork(command, surroundings):
        return subprocess.run(command, env=surroundings, cwd=ROOT, capture_output=True, text=True)
    with TemporaryFile() as output, TemporaryFile() as errors:
        process = ForkedProcess(server, command, server.fork(module, command[3:], surroundings, output, errors))
        process.wait()
        said = [os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode() for file in (output, errors)]
    return subprocess.CompletedProcess(command, process.returncode, *said)
