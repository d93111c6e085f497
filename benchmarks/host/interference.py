"""Host contention: how many cores other programs kept busy during a measurement.

On a busy host a figure says more about the others than about what was measured.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import psutil

from benchmarks.host.processes import cpu_s, tree

BUSY = ("user", "nice", "system", "irq", "softirq", "steal")  # guests are part of user and nice
TOLERATED = 0.1  # of the cores that are measured: more than that in other hands and the figures are theirs


class Contention(msgspec.Struct, frozen=True):
    """Cores kept busy by other programs (and by other virtual machines, as far as the host tells), on average.

    `busy_cores` is None where the system does not say. `wanted_cores` is what the measurement meant to use.
    """

    busy_cores: float | None
    host_cores: int
    wanted_cores: int

    @property
    def contended(self) -> bool:
        """Whether the others left fewer cores than were wanted.

        OpenMP's threads spin at every barrier until the slowest arrives: one core short, a parallel PyTorch run can
        take twenty times as long, in every round alike, so that no interval shows it.
        """
        if self.busy_cores is None:
            return False
        return self.host_cores - self.busy_cores < self.wanted_cores * (1 - TOLERATED)


def describe_contention(neighbours: Contention) -> str:
    """What the others did, and the remedy."""
    if neighbours.busy_cores is None:
        return "this system does not say what else was running"
    text = f"other programs used {neighbours.busy_cores:.1f} of {neighbours.host_cores} cores meanwhile"
    return f"{text}; stop them and measure again" if neighbours.contended else text


class ContentionWatch:
    """Knows which processes are our own; `seen` is filled in when the block ends."""

    seen: Contention

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


def host_busy_s() -> float | None:
    """CPU seconds of all cores since the host started, idle and waiting time left out; None if nothing tells."""
    try:
        times = psutil.cpu_times()._asdict()
    except (OSError, ValueError):
        return None
    return float(sum(times.get(name, 0.0) for name in BUSY))


@contextmanager
def watch_contention(
    wanted_cores: int, host_busy_s: Callable[[], float | None] = host_busy_s
) -> Iterator[ContentionWatch]:
    """Watch the host's cores while the block runs.

    Our own are this process, the children that the block starts and waits for, and those named with `include`.
    `host_busy_s` tells the CPU seconds of all cores so far.
    """
    watch = ContentionWatch()
    began, own, busy = time.monotonic(), _own_s(), host_busy_s()
    yield watch
    elapsed = time.monotonic() - began
    own, ended = _own_s() - own + watch.ours_s(), host_busy_s()
    others = None
    if busy is not None and ended is not None:
        others = round(max(0.0, ended - busy - own) / max(elapsed, 1e-9), 2)
    watch.seen = Contention(others, os.cpu_count() or wanted_cores, wanted_cores)


def _own_s() -> float:
    """Seconds of work of this process and of those it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
