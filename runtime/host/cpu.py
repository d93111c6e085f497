"""CPU limits of this process: affinity mask and cgroup quota (v1 and v2), as in a container."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")


def available_cpus(cgroup: Path = CGROUP, own: Path = OWN) -> int:
    """Cores that this process may use at once, at least 1: the affinity mask, capped by the cgroup's CPU quota."""
    mask = affinity_mask()
    return within_quota(os.cpu_count() or 1 if mask is None else len(mask), cgroup, own)


def affinity_mask() -> frozenset[int] | None:
    """The processors that the calling thread may run on; None where the system has no such mask."""
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def within_quota(cores: int, cgroup: Path = CGROUP, own: Path = OWN) -> int:
    """`cores`, or as many as the quota pays for, rounded up; at least 1."""
    quota = cpu_quota(cgroup, own)
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def cpu_quota(cgroup: Path = CGROUP, own: Path = OWN) -> float | None:
    """The smallest CPU quota, in cores, of this process's cgroup and those above it; None if there is no quota.

    Read from v2's `cpu.max`, else from v1's `cpu.cfs_quota_us`. Inside a container its own cgroup is usually the root
    of the tree that it sees; a systemd service on the host is found by its path in `own`.
    """
    folders = cgroup_folders("cpu", cgroup, own)
    return min((quota for folder in folders if (quota := _quota(folder)) is not None), default=None)


def cgroup_folders(controller: str, cgroup: Path = CGROUP, own: Path = OWN) -> Iterator[Path]:
    """Where a limit of `controller` (cpu, memory) may be.

    The roots of v2 and v1, and every folder on the way down to this process's cgroup.
    """
    roots = (cgroup, cgroup / controller, cgroup / f"{controller},{controller}acct")
    yield from roots
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        below = Path(path.strip("/"))
        for root in roots if controller in controllers.split(",") else roots[:1]:
            yield from (root / part for part in (below, *below.parents))


def _quota(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        except (OSError, ValueError):
            return None
    if not quota.isdecimal() or not period.isdecimal() or not int(period):
        return None  # `max` and -1 say that there is none, and what nobody can read is none
    return int(quota) / int(period)
