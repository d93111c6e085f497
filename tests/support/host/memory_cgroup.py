"""A limit of memory for processes of a test, as a container has it; needs root and cgroups that may be written to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from benchmarks.host import memory_cgroup as host
from benchmarks.host.memory_cgroup import CgroupError, MemoryCgroup

__all__ = ["MemoryCgroup", "memory_cgroup"]


@contextmanager
def memory_cgroup(limit_bytes: int, cpus: float | None = None) -> Iterator[MemoryCgroup]:
    with ExitStack() as stack:
        try:
            group = stack.enter_context(host.memory_cgroup(limit_bytes, cpus))
        except CgroupError as error:
            pytest.skip(str(error))
        yield group
