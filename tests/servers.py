"""The appliance as a process of its own, on a real socket."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

START_S = 60


@dataclass
class Appliance:
    process: subprocess.Popen[str]
    log: Path
    url: str

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=START_S)


@contextmanager
def appliance(tmp_path: Path, *arguments: str, **environment: str) -> Iterator[Appliance]:
    log = tmp_path / "appliance.log"
    command = [sys.executable, "-m", "runtime", "--host", "127.0.0.1", "--port", "0", *arguments]
    with log.open("w") as stream:
        process = subprocess.Popen(command, stderr=stream, env=os.environ | environment, text=True)
    try:
        url = _wait_until_ready(process, log)
        yield Appliance(process, log, url)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _wait_until_ready(process: subprocess.Popen[str], log: Path) -> str:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        found = re.search(r"http://localhost:(\d+)", log.read_text())
        if found:
            url = f"http://127.0.0.1:{found[1]}"
            try:
                if httpx.get(url + "/health/ready").is_success:
                    return url
            except httpx.TransportError:
                pass
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise AssertionError(f"the appliance did not start:\n{log.read_text()}")


def free_port() -> int:
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, no two the same: all are held until the last is chosen."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(probe.getsockname()[1]) for probe in probes]
