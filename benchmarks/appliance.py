"""The appliance as a process of its own, as an operator starts it, and what can be seen of it from outside."""

from __future__ import annotations

import http.client
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

from runtime.commands import Refusal

HOST = "127.0.0.1"
START_S = 60
STOP_S = 60


@dataclass
class Appliance:
    """A running appliance; its log is a file."""

    process: subprocess.Popen[str]
    port: int
    log: Path

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self.process.poll() is None

    def resident_mb(self) -> float:
        """Resident memory now; nan where the system does not say, or the process is gone."""
        return self._memory_mb("VmRSS")

    def peak_mb(self) -> float:
        """The highest resident memory so far."""
        return self._memory_mb("VmHWM")

    def _memory_mb(self, field: str) -> float:
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return float("nan")
        found = re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)
        return int(found[1]) / 1024 if found else float("nan")


@contextmanager
def appliance(folder: Path, *arguments: str, **environment: str) -> Iterator[Appliance]:
    """Start `python -m runtime` on a free port of this machine, with its log in `folder`; stopped at the end.

    Raises Refusal with the end of its log where it does not start.
    """
    log = folder / "appliance.log"
    command = [sys.executable, "-m", "runtime", "--host", HOST, "--port", "0", *arguments]
    with log.open("w") as stream:
        process = subprocess.Popen(command, stderr=stream, env=os.environ | environment, text=True)
    try:
        yield Appliance(process, _wait_until_ready(process, log), log)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(process: subprocess.Popen[str], log: Path) -> int:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(r"http://localhost:(\d+)", log.read_text())
        if found and _is_ready(int(found[1])):
            return int(found[1])
        time.sleep(0.05)
    said = log.read_text().strip().splitlines()[-5:]
    raise Refusal("the appliance did not start; it said: " + (" / ".join(said) or "nothing"))


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=START_S)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()
