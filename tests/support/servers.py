"""The appliance as a child process, on a real socket; killed after its test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.contenders.appliance import START_S, Appliance
from benchmarks.contenders.appliance import appliance as started
from benchmarks.host.server_process import free_ports, kill, start_session
from tests.support.forks.forked import fork
from tests.support.repeats import THOROUGH

__all__ = ["START_S", "Appliance", "appliance", "free_port", "free_ports"]


@contextmanager
def appliance(
    tmp_path: Path,
    *arguments: str,
    module: Sequence[str] = ("runtime",),
    from_scratch: bool = THOROUGH,
    **environment: str,
) -> Iterator[Appliance]:
    """An appliance in a process that is started `from_scratch`, as in the thorough run all are, or else forked."""
    start = start_session if from_scratch else fork
    with started(tmp_path, *arguments, module=module, start=start, stop=kill, **environment) as running:
        yield running


def free_port() -> int:
    return free_ports(1)[0]
