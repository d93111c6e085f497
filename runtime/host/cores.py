"""The cores for one inference: where some are slower than others, those that make it quickest.

The threads of an inference wait for each other at the end of each step. With the work dealt out evenly, n threads are
as fast as n times the slowest of their cores, and so the n fastest cores are taken for which that is most.

The native kernel's threads take blocks from a counter (`run_steps` in dispatch.c), so a slow core takes fewer of them.
By their capacities even slower cores would gain. But a capacity is that of scalar arithmetic at the highest clock, and
a small core's vector unit is half as wide. Slow cores that this rule takes gain with half their capacity, too.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from runtime.host.cpu import CGROUP, OWN, affinity_mask, available_cpus, within_quota

SYSTEM = Path("/sys/devices")
# Of Intel's hybrid processors, where the system gives all cores one capacity as long as SMT is on: an E-core's vector
# unit is half as wide as a P-core's.
P_CORE, E_CORE = 2, 1

CAPACITY, SPAN = re.compile("[1-9][0-9]{0,8}"), re.compile("([0-9]{1,9})(?:-([0-9]{1,9}))?")

log = logging.getLogger(__name__)


class Core(NamedTuple):
    """A core: its capacity, which has no unit, and those of its SMT siblings that the affinity mask allows."""

    capacity: int
    processors: frozenset[int]


class InferenceCores(NamedTuple):
    """The threads of one inference; the `processors` for them, None for any.

    `words` say which cores these are; empty where all are equal.
    """

    threads: int
    processors: frozenset[int] | None = None
    words: str = ""

    def describe(self, threads: int) -> str:
        """`threads` that were chosen, with the reason if it is this choice."""
        count = f"{threads} thread{'s' if threads > 1 else ''}"
        return f"{count} on {self.words}" if self.words and threads == self.threads else count


def inference_cores(
    mask: frozenset[int] | None = None, *, system: Path = SYSTEM, cgroup: Path = CGROUP, own: Path = OWN
) -> InferenceCores:
    """The cores for one inference of those in `mask`, the calling thread's if None, as far as the CPU quota goes.

    Where all are equal, or sysfs does not say: all processors of the mask. Else SMT siblings count once, for they share
    their core's vector unit.
    """
    mask = mask or affinity_mask()
    if mask is None:
        return InferenceCores(available_cpus(cgroup, own))
    most = within_quota(len(mask), cgroup, own)
    cores = _unequal_cores(mask, system)
    if not cores:
        return InferenceCores(most)
    threads = max(range(1, min(len(cores), most) + 1), key=lambda n: n * cores[n - 1].capacity)  # the fewest of equals
    fastest, slowest = cores[0].capacity, cores[threads - 1].capacity
    taken = [core for core in cores if core.capacity >= slowest]
    if len(taken) == len(cores):
        words = f"all {len(cores)} cores: the slowest has {slowest / fastest:.0%} of the fastest one's capacity"
        return InferenceCores(threads, None, words)
    most_left = cores[len(taken)].capacity / fastest
    words = f"{len(taken)} of {len(cores)} cores: the others have at most {most_left:.0%} of the fastest one's capacity"
    return InferenceCores(threads, frozenset().union(*(core.processors for core in taken)), words)


@contextmanager
def threads_placed(threads: int, cores: InferenceCores | None = None) -> Iterator[None]:
    """Keep the `threads` of a pool that the block starts on the cores for one inference, if these are enough for them.

    A pool that sleeps between two inferences looks idle to the scheduler, which would wake it on slow cores, too. New
    threads inherit the mask of the thread that starts them, which has its own back after the block.
    """
    before = affinity_mask()
    processors = (cores or inference_cores()).processors if threads > 1 else None
    if before is None or processors is None or threads > len(processors):
        yield
        return
    with suppress(OSError):  # the processors are not ours any more
        os.sched_setaffinity(0, processors)
    try:
        yield
    finally:
        with suppress(OSError):
            os.sched_setaffinity(0, before)


def _unequal_cores(mask: frozenset[int], system: Path) -> list[Core]:
    """The cores of the mask, the fastest first; none if all are equal, or sysfs does not say."""
    try:
        capacities = _capacities(mask, system / "system/cpu") or _by_kind(mask, system)
        if len(set(capacities.values())) < 2:
            return []
        cores = {}
        for processor, capacity in capacities.items():
            file = system / f"system/cpu/cpu{processor}/topology/thread_siblings_list"
            siblings = _listed(file, mask) | {processor}
            cores[min(siblings)] = Core(capacity, siblings)
    except ValueError as error:
        _warn(str(error))
        return []
    return sorted(cores.values(), key=lambda core: (-core.capacity, min(core.processors)))


def _capacities(mask: frozenset[int], folder: Path) -> dict[int, int]:
    """What the scheduler takes each processor to be able to do; empty where it knows of no difference.

    Raises ValueError for a file that holds no number from 1.
    """
    found = {}
    for processor in sorted(mask):
        file = folder / f"cpu{processor}/cpu_capacity"
        text = _read(file)
        if text is None:
            return {}
        if not CAPACITY.fullmatch(text):
            raise ValueError(f"{file}: {text[:40]!r} is no capacity")
        found[processor] = int(text)
    return found if len(set(found.values())) > 1 else {}


def _by_kind(mask: frozenset[int], system: Path) -> dict[int, int]:
    """The capacities of an Intel hybrid processor's cores; all equal elsewhere. Raises ValueError as `_listed` does."""
    fast = _listed(system / "cpu_core/cpus", mask)
    return {processor: P_CORE if processor in fast else E_CORE for processor in sorted(mask)}


def _listed(file: Path, mask: frozenset[int]) -> frozenset[int]:
    """Which of `mask` a list such as `0-7,16` names; none without such a file. Raises ValueError for other text."""
    found: set[int] = set()
    text = _read(file)
    for part in text.split(",") if text else ():
        span = SPAN.fullmatch(part)
        if span is None:
            raise ValueError(f"{file}: {part[:40]!r} is no processor")
        first, last = int(span[1]), int(span[2] or span[1])
        found |= {processor for processor in mask if first <= processor <= last}
    return frozenset(found)


def _read(file: Path) -> str | None:
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return None


@cache
def _warn(reason: str) -> None:
    log.warning("%s; all cores count as equally fast", reason)
