"""Who else was using the cores: on a busy host a figure says more about the others than about what was measured."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks.processes import cpu_s, tree

STAT = Path("/proc/stat")
TOLERATED = 0.1  # of the cores that are measured: more than that in other hands and the figures are theirs


class Neighbours(msgspec.Struct, frozen=True):
    """Cores kept busy by other programs (and by other virtual machines, as far as the host tells), on average.

    `busy_cores` is None where the system does not say. `wanted_cores` is what the measurement meant to use.
    """

    busy_cores: float | None
    host_cores: int
    wanted_cores: int

    @property
    def crowded(self) -> bool:
        """Whether the others left fewer cores than were wanted.

        OpenMP's threads spin at every barrier until the slowest arrives: one core short, a parallel PyTorch run can
        take twenty times as long, in every round alike, so that no interval shows it.
        """
        if self.busy_cores is None:
            return False
        return self.host_cores - self.busy_cores < self.wanted_cores * (1 - TOLERATED)


class Watch:
    """Knows which processes are our own; `seen` is filled in when the block ends."""

    seen: Neighbours

    def __init__(self) -> None:
        """Nothing is ours yet but this process and what it waits for."""
        self._ours: dict[int, float] = {}

    def include(self, pid: int) -> None:
        """Count a child of ours and its children from now on as our own; it need not end before the block does.

        One that ends must be waited for: its work is then among this process's own.
        """
        self._ours[pid] = cpu_s(tree(pid))

    def ours_s(self) -> float:
        """Seconds of work of the included since they were; of one that was waited for, less what it did before."""
        return sum(cpu_s(tree(pid)) - before for pid, before in self._ours.items())


@contextmanager
def watched(wanted_cores: int, stat: Path = STAT) -> Iterator[Watch]:
    """Watch the host's cores while the block runs.

    Our own are this process, the children that the block starts and waits for, and those named with `include`.
    """
    watch = Watch()
    began, own, busy = time.monotonic(), _own_s(), _busy_s(stat)
    yield watch
    elapsed = time.monotonic() - began
    own, ended = _own_s() - own + watch.ours_s(), _busy_s(stat)
    others = None
    if busy is not None and ended is not None:
        others = round(max(0.0, ended - busy - own) / max(elapsed, 1e-9), 2)
    watch.seen = Neighbours(others, os.cpu_count() or wanted_cores, wanted_cores)


def _own_s() -> float:
    """Seconds of work of this process and of those it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _busy_s(stat: Path) -> float | None:
    """Seconds of work on all cores since the host started: user, nice, system, irq, softirq and steal (proc(5))."""
    try:
        user, nice, system, _idle, _iowait, irq, softirq, steal, *_ = stat.read_text().split()[1:9]
    except (OSError, ValueError):
        return None
    ticks = sum(int(field) for field in (user, nice, system, irq, softirq, steal))
    return ticks / os.sysconf("SC_CLK_TCK")
