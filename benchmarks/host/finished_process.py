"""A command that is run to its end: its time, CPU time and memory."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec


class Ended(msgspec.Struct, frozen=True):
    """Seconds on the clock and of CPU in all its processes, the most memory that one of them kept resident, what it
    returned, and what it said.
    """

    wall_s: float
    cpu_s: float
    peak_bytes: int
    status: int
    said: str


def run_to_end(command: Sequence[str], environment: Mapping[str, str], folder: Path | None = None) -> Ended:
    """Run `command` in `folder` with nothing on its stdin."""
    with tempfile.TemporaryFile() as output:
        began = time.monotonic()
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read().decode(errors="replace").strip()
    return Ended(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, process.returncode, said)
