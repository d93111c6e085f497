"""Process tree, CPU time and resident memory.

psutil knows the first two. Memory is read from /proc/PID/smaps: psutil's PSS divides a shared page by all processes on
the host that map it, so it would fall whenever a stranger starts.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import psutil

PROC = Path("/proc")


def tree(pid: int) -> list[int]:
    """`pid` and all its descendants that are alive; empty if it has ended."""
    process = _alive(pid)
    if process is None:
        return []
    try:
        children = [child.pid for child in process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
    return [pid, *(child for child in children if _alive(child))]


def cpu_s(pids: Iterable[int]) -> float:
    """CPU seconds of these processes and of their children that have ended, to 10 ms; 0 for one that is gone."""
    return sum(_times(pid) for pid in pids)


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
    left = [pid for pid in pids if _alive(pid)]
    while left and time.monotonic() < deadline:
        time.sleep(0.02)
        left = [pid for pid in left if _alive(pid)]
    return left


def _alive(pid: int) -> psutil.Process | None:
    """The process; None if it is gone or waits to be collected."""
    try:
        process = psutil.Process(pid)
        return None if process.status() in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD} else process
    except psutil.NoSuchProcess:
        return None


def _times(pid: int) -> float:
    process = _alive(pid)
    try:
        return sum(process.cpu_times()[:4]) if process else 0.0  # user, system, and both of ended children
    except psutil.NoSuchProcess:
        return 0.0


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
