"""Memory cgroup (v1 and v2): a limit of memory, and of CPU, for child processes, as a container has them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from runtime.errors import Refusal

CGROUPS = Path("/sys/fs/cgroup")
PERIOD_US = 100_000  # of a CPU quota, as container engines have it
ENDING_S = 10.0  # a killed process leaves its group a moment later

_numbers = count()


class CgroupError(Refusal):
    """No memory cgroup can be made here; the message says why."""


@dataclass(frozen=True)
class MemoryCgroup:
    """A cgroup with limits: `folder` is that of its memory, `cpu_folder` that of its quota where v1 has two."""

    folder: Path
    cpu_folder: Path | None = None

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders whose `cgroup.procs` a process is to be written to."""
        return (self.folder,) if self.cpu_folder is None else (self.folder, self.cpu_folder)

    def enter(self) -> None:
        """This process, and all that it starts, belong to the group from now on; fit for `preexec_fn`."""
        for folder in self.folders:
            (folder / "cgroup.procs").write_text(str(os.getpid()))

    @property
    def peak_bytes(self) -> int:
        """The most memory that the group held."""
        for name in ("memory.peak", "memory.max_usage_in_bytes"):
            file = self.folder / name
            if file.exists():
                return int(file.read_text())
        return 0

    @property
    def kills(self) -> int:
        """Processes that the kernel ended for want of memory."""
        for name in ("memory.events", "memory.oom_control"):
            file = self.folder / name
            if file.exists():
                return int(dict(line.split() for line in file.read_text().splitlines())["oom_kill"])
        return 0


@contextmanager
def memory_cgroup(limit_bytes: int, cpus: float | None = None) -> Iterator[MemoryCgroup]:
    """A group that may take `limit_bytes` of memory, without swap, and `cpus` cores; removed after the block.

    All its processes must have been killed by then. Raises CgroupError where it cannot be made.
    """
    v1 = (CGROUPS / "memory").is_dir()
    name = f"dandelion-{os.getpid()}-{next(_numbers)}"
    made: list[Path] = []
    try:
        try:
            group = _make_v1(name, limit_bytes, cpus, made) if v1 else _make_v2(name, limit_bytes, cpus, made)
        except OSError as error:
            raise CgroupError(f"needs root and a memory cgroup that may be written to ({error})") from error
        yield group
    finally:
        for folder in made:
            _remove(folder)


def _make_v1(name: str, limit_bytes: int, cpus: float | None, made: list[Path]) -> MemoryCgroup:
    memory = _folder(
        CGROUPS / "memory" / name, {"memory.limit_in_bytes": str(limit_bytes), "memory.swappiness": "0"}, made
    )
    if cpus is None:
        return MemoryCgroup(memory)
    quota = {"cpu.cfs_period_us": str(PERIOD_US), "cpu.cfs_quota_us": str(int(cpus * PERIOD_US))}
    return MemoryCgroup(memory, _folder(CGROUPS / "cpu" / name, quota, made))


def _make_v2(name: str, limit_bytes: int, cpus: float | None, made: list[Path]) -> MemoryCgroup:
    with suppress(OSError):  # they are on already, or the limits below cannot be written
        (CGROUPS / "cgroup.subtree_control").write_text("+memory +cpu")
    quota = {} if cpus is None else {"cpu.max": f"{int(cpus * PERIOD_US)} {PERIOD_US}"}
    folder = _folder(CGROUPS / name, {"memory.max": str(limit_bytes), **quota}, made)
    with suppress(OSError):  # a kernel without swap
        (folder / "memory.swap.max").write_text("0")
    return MemoryCgroup(folder)


def _folder(folder: Path, values: Mapping[str, str], made: list[Path]) -> Path:
    folder.mkdir()
    made.append(folder)
    for name, value in values.items():
        (folder / name).write_text(value)
    return folder


def _remove(folder: Path) -> None:
    deadline = time.monotonic() + ENDING_S
    while True:
        try:
            folder.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
