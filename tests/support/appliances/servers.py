"""The appliance as a child process, on a real socket; killed after its test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.contenders.appliance import START_S, Appliance
from benchmarks.contenders.appliance import appliance as started
from benchmarks.host.server_process import free_ports, kill, start_session
from tests.support.forks.forked import fork
from tests.support.suite.repeats import THOROUGH

__all__ = ["START_S", "Appliance", "appliance", "free_port", "free_ports"]


@contextmanager
def appliance(
    tmp_path: Path,
    *arguments: str,
    module: Sequence[str] = ("runtime",),
    from_scratch: bool = THOROUGH,
    **environment: str,
) -> Iterator[Appliance]:
    """An appliance in a process that is started `from_scratch`, as in the thorough run all are, or else forked.

    Its cache is below `tmp_path` if nothing else is said: in the folder that all tests start in, one would serve what
    another has left there.
    """
    start = start_session if from_scratch else fork
    settings = {"DANDELION_CACHE": str(tmp_path / "cache-of-appliance")} | environment
    with started(tmp_path, *arguments, module=module, start=start, stop=kill, **settings) as running:
        yield running


def free_port() -> int:
    return free_ports(1)[0]
