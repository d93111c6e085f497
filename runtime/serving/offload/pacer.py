"""Pacing: child processes get what the appliance leaves of a CPU quota.

A quota counts all threads and processes of a container together, whatever their priority: once it is used up, the
kernel stops all of them until the next period of 100 ms, the event loop, too. So children are stopped before.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

TICK_S = 0.01
RESERVE = 0.15  # of the quota, for bursts of the appliance; less if it is nearly idle
LEAST = 0.08  # of the quota: children go on, however busy the appliance is
BURST_S = 0.02  # of CPU that children may save up
MEMORY_S = 0.1  # over which the use of the appliance is averaged: a period of the quota


class Pacer:
    """Says whether children may run now, by the CPU time that appliance and children have used (a token bucket)."""

    def __init__(self, quota: float) -> None:
        """`quota` is in cores."""
        self._quota = quota
        self._rate = 0.0
        self._allowance_s = BURST_S

    def tick(self, elapsed_s: float, own_s: float, children_s: float) -> bool:
        """Whether children may run; in the last `elapsed_s` the appliance used `own_s` of CPU, they `children_s`."""
        weight = min(1.0, elapsed_s / MEMORY_S)
        self._rate += weight * (own_s / elapsed_s - self._rate)
        left = self._quota - self._rate - min(RESERVE * self._quota, self._rate)
        gained_s = max(left, LEAST * self._quota) * elapsed_s
        self._allowance_s = min(BURST_S, self._allowance_s + gained_s - children_s)
        return self._allowance_s > 0


class Worker(Protocol):
    """What a child process tells."""

    def cpu_s(self) -> float:
        """The CPU time that it has used."""


class Throttle:
    """A `Pacer` with the clocks of this process and of its children."""

    def __init__(self, quota: float) -> None:
        """`quota` is in cores."""
        self._pacer = Pacer(quota)
        self._at, self._own_s = time.monotonic(), time.process_time()
        self._used_s: dict[Worker, float] = {}

    def may_run(self, children: Sequence[Worker]) -> bool:
        """Whether `children` may run now, by what was used since it was last asked."""
        before, own_s, used_s = self._at, self._own_s, self._used_s
        self._at, self._own_s = time.monotonic(), time.process_time()
        self._used_s = {child: child.cpu_s() for child in children}
        children_s = sum(now_s - used_s.get(child, 0.0) for child, now_s in self._used_s.items())
        return self._pacer.tick(max(1e-6, self._at - before), self._own_s - own_s, children_s)
