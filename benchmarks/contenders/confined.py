"""The appliance in a container's limits: memory, processor and open files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from benchmarks.contenders.appliance import Appliance, appliance
from benchmarks.host.confined import confined
from benchmarks.host.memory_cgroup import MemoryCgroup, memory_cgroup
from benchmarks.host.server_process import kill

PAGE = "ui"  # page and API in one process
API = "runtime"


class Limits(msgspec.Struct, frozen=True):
    """What one appliance may take: `memory_mb` in MiB, `cpus` in cores. None for all that there is."""

    memory_mb: int | None = None
    cpus: float | None = None


class Confined(NamedTuple):
    """A running appliance and its group; `kills` is how often the kernel ended it for want of memory."""

    appliance: Appliance
    group: MemoryCgroup | None

    @property
    def kills(self) -> int:
        """Processes that the kernel ended for want of memory; one that ended for another reason counts, too."""
        killed = self.group.kills if self.group else 0
        return max(killed, 0 if self.appliance.alive else 1)


@dataclass(frozen=True)
class Starter:
    """Starts appliances, each in limits of its own."""

    limits: Limits = Limits()  # noqa: RUF009 - frozen
    arguments: Sequence[str] = ()

    @contextmanager
    def __call__(
        self, *, module: str = API, files: int | None = None, environment: Mapping[str, str] | None = None
    ) -> Iterator[Confined]:
        """Start one with at most `files` open files (a hard limit); killed after the block.

        Raises ServerError where it does not start, CgroupError where its limits cannot be set.
        """
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            group = None
            if self.limits.memory_mb is not None:
                limits = memory_cgroup(self.limits.memory_mb * 2**20, self.limits.cpus)
                group = stack.enter_context(limits)
            own: dict[str, Any] = {"module": confined(module, group, files), "stop": kill, **(environment or {})}
            running = appliance(folder, *self.arguments, **own)
            yield Confined(stack.enter_context(running), group)
