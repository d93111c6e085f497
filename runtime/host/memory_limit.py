"""Available memory of this process: host memory and cgroup limits (v1 and v2), as in a container."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from runtime.host.cpu import CGROUP, OWN, cgroup_folders

MEMINFO = Path("/proc/meminfo")
UNLIMITED = 2**60  # v1 states a limit of about 2^63 where there is none


def available_memory(cgroup: Path = CGROUP, own: Path = OWN, meminfo: Path = MEMINFO) -> int | None:
    """Bytes: the least of what the host has available and what each cgroup leaves; None if neither is known.

    A cgroup leaves its limit less what it uses; file pages that are not in use count as free, since they are given up
    first. Read from v2's `memory.max`, else from v1's `memory.limit_in_bytes`.
    """
    return min(_all(cgroup, own, meminfo), default=None)


def memory_for_planning(cgroup: Path = CGROUP, own: Path = OWN, meminfo: Path = MEMINFO) -> int | None:
    """Bytes that this process may plan with, the same at each start of a container; None if nothing is known.

    It is the least limit of a cgroup, however much of it is in use; without one, half of what the host has available,
    which others want, too.
    """
    available = _available_on_host(meminfo)
    limits = [limit for folder in cgroup_folders("memory", cgroup, own) if (limit := _limit(folder)) is not None]
    limit = min(limits, default=UNLIMITED)
    if limit >= UNLIMITED:
        return None if available is None else available // 2
    return limit if available is None else min(limit, available)


def _all(cgroup: Path, own: Path, meminfo: Path) -> Iterator[int]:
    available = _available_on_host(meminfo)
    if available is not None:
        yield available
    for folder in cgroup_folders("memory", cgroup, own):
        left = _left(folder, "memory.max", "memory.current", "inactive_file")
        if left is None:
            left = _left(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        if left is not None:
            yield left


def _available_on_host(meminfo: Path) -> int | None:
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", meminfo.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def _limit(folder: Path) -> int | None:
    for name in ("memory.max", "memory.limit_in_bytes"):
        try:
            return int((folder / name).read_text())
        except (OSError, ValueError):  # none of this version, or no limit (`max`)
            continue
    return None


def _left(folder: Path, limit_name: str, usage_name: str, inactive_name: str) -> int | None:
    try:
        limit = int((folder / limit_name).read_text())
        usage = int((folder / usage_name).read_text())
        found = re.search(rf"^{inactive_name} (\d+)$", (folder / "memory.stat").read_text(), re.MULTILINE)
    except (OSError, ValueError):  # no limit (`max`), or none of this version
        return None
    return max(0, limit - usage + (int(found[1]) if found else 0))
