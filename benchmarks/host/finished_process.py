"""A command that is run to its end: its time, CPU time and memory."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

LOOK_S = 0.02


class Ended(msgspec.Struct, frozen=True):
    """Seconds on the clock and of CPU in all its processes, the most memory that the first one kept resident, what
    it returned, and what it said.
    """

    wall_s: float
    cpu_s: float
    peak_bytes: int
    status: int
    said: str


def run_to_end(command: Sequence[str], environment: Mapping[str, str], folder: Path | None = None) -> Ended:
    """Run `command` in `folder` with nothing on its stdin. Its memory is that of its own process."""
    with tempfile.TemporaryFile() as output:
        began = time.monotonic()
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        peak_bytes = 0
        while True:
            peak_bytes = max(peak_bytes, _peak_bytes(process.pid))
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
            if ended:
                break
            time.sleep(LOOK_S)
        wall_s = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read().decode(errors="replace").strip()
    return Ended(wall_s, usage.ru_utime + usage.ru_stime, peak_bytes, process.returncode, said)


def _peak_bytes(pid: int) -> int:
    """The most that it kept resident until now; 0 if it has ended.

    The kernel's `ru_maxrss` would count what this process kept when it forked.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)
