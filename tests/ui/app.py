"""The browser app as a process."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.host.server_process import start_session
from tests.support.forks.forked import fork
from tests.support.suite.repeats import THOROUGH

START_S = 60


@dataclass
class App:
    process: subprocess.Popen[bytes]
    log: Path
    url: str

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=START_S)


@contextmanager
def app(folder: Path, *arguments: str, module: str = "ui", port: int = 0, **environment: str) -> Iterator[App]:
    log = folder / f"{module}-{time.monotonic_ns()}.log"
    command = [sys.executable, "-m", module, "--host", "127.0.0.1", "--port", str(port), *arguments]
    start = start_session if THOROUGH else fork
    with log.open("wb") as stream:
        process = start(command, os.environ | environment, stream, None)
    try:
        yield App(process, log, _wait_until_ready(process, log))
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(r"(?:Open|at) http://localhost:(\d+)", log.read_text())
        if found:
            url = f"http://127.0.0.1:{found[1]}"
            try:
                if httpx.get(url + "/", follow_redirects=True).is_success:
                    return url
            except httpx.TransportError:
                pass
        time.sleep(0.05)
    raise AssertionError(f"it did not start:\n{log.read_text()}")
