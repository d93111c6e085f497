"""What a process and all its children use, read from /proc (proc(5))."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

PROC = Path("/proc")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """`pid` and all its descendants that are alive; empty where it has ended."""
    children: dict[int, list[int]] = {}
    for folder in PROC.iterdir():
        if folder.name.isdigit() and (fields := _stat(int(folder.name))):
            children.setdefault(int(fields[1]), []).append(int(folder.name))
    alive, found = [pid] if _stat(pid) else [], []
    while alive:
        found.append(alive.pop())
        alive += children.get(found[-1], [])
    return found


def cpu_s(pids: Iterable[int]) -> float:
    """Seconds of work of these processes and of their children that have ended, to 10 ms; 0 for one that is gone."""
    return sum(sum(int(ticks) for ticks in fields[11:15]) for pid in pids if (fields := _stat(pid))) / TICKS_PER_S


def resident_bytes(pids: Iterable[int]) -> int:
    """Memory that these processes keep resident together: their own pages, and each page of a file once.

    Of one process it is what `ps` calls RSS. Forked workers share pages: a sum of RSS would count those several times.
    """
    own, of_files = 0, dict[str, int]()
    for pid in pids:
        own += _own_bytes(pid)
        for name, size in _mapped_bytes(pid).items():
            of_files[name] = max(of_files.get(name, 0), size)
    return own + sum(of_files.values())


def wait_until_ended(pids: Iterable[int], timeout_s: float) -> list[int]:
    """Wait for processes that are not our own children; returns those that are still there."""
    deadline = time.monotonic() + timeout_s
    left = [pid for pid in pids if _stat(pid)]
    while left and time.monotonic() < deadline:
        time.sleep(0.02)
        left = [pid for pid in left if _stat(pid)]
    return left


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on; None for a process that is gone or waits to be collected."""
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in {"Z", "X"} else fields


def _own_bytes(pid: int) -> int:
    """Pages of no file; those shared with a forked sibling count in proportion."""
    lines = _lines(pid, "smaps_rollup")
    return sum(_kilobytes(line) for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:"))) * 1024


def _mapped_bytes(pid: int) -> dict[str, int]:
    """Resident pages of each mapped file, those written to (and so this process's own) left out."""
    sizes: dict[str, int] = {}
    name, resident = "", 0
    for line in _lines(pid, "smaps"):
        label, _, rest = line.partition(" ")
        if not label.endswith(":"):
            name = rest.split(maxsplit=4)[4] if len(rest.split()) > 4 else ""
        elif label == "Rss:":
            resident = _kilobytes(line)
        elif label == "Anonymous:" and name.startswith("/") and not name.startswith("/dev/shm"):  # noqa: S108
            sizes[name] = sizes.get(name, 0) + (resident - _kilobytes(line)) * 1024
    return sizes


def _lines(pid: int, file: str) -> list[str]:
    try:
        return (PROC / str(pid) / file).read_text().splitlines()
    except OSError:  # it has ended
        return []


def _kilobytes(line: str) -> int:
    return int(line.split()[1])
