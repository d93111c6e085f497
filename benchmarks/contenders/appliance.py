"""The appliance as a child process, started as an operator starts it and observed from outside."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.host.server_process import HOST, Start, Stop, answers, running

START_S = 60


@dataclass(frozen=True)
class Appliance:
    """A running appliance; its log is a file."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http://{HOST}:{self.port}"

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self.process.poll() is None

    def stop(self) -> int:
        """Ask it to stop, wait for its end, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=START_S)

    def resident_mb(self) -> float:
        """Resident memory now; nan if the system does not say, or the process is gone."""
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
def appliance(
    folder: Path,
    *arguments: str,
    module: Sequence[str] = ("runtime",),
    start: Start | None = None,
    stop: Stop | None = None,
    **environment: str,
) -> Iterator[Appliance]:
    """Start `python -m runtime` on a free port of this machine, with its log in `folder`; stopped after the block.

    Raises ServerError with the end of its log if it does not start.
    """
    log = folder / "appliance.log"
    command = [sys.executable, "-m", *module, "--host", HOST, "--port", "0", *arguments]
    with running(
        "appliance", command, log, lambda: _port(log), start_s=START_S, environment=environment, start=start, stop=stop
    ) as (process, port):
        yield Appliance(process, port, log)


def _port(log: Path) -> int | None:
    """The port that the log names, once the appliance is ready there."""
    found = re.search(r"http://localhost:(\d+)", log.read_text(errors="replace"))
    return int(found[1]) if found and answers(int(found[1]), "/health/ready") else None
