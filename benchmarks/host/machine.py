"""Description of the machine that was measured: CPU, instruction sets, memory, versions."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

import msgspec

from runtime.host.cpu import available_cpus

# What decides how fast INT8, FP32 and bf16 are.
_TELLING_FLAGS = (
    "avx2",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
    "asimddp",
    "i8mm",
)
_PACKAGES = ("numpy", "onnxruntime", "pillow", "torch", "torchvision")


class Machine(msgspec.Struct, frozen=True):
    """The machine and the versions of what runs on it."""

    cpu: str
    cores: int
    flags: list[str]
    memory_gb: float
    system: str
    python: str
    packages: dict[str, str]


def this_machine() -> Machine:
    """The machine that this process runs on, with the cores that it may use."""
    cpuinfo = _read("/proc/cpuinfo")
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in cpuinfo.splitlines())}
    flags = set(fields.get("flags", fields.get("Features", "")).split())
    memory = next(
        (line for line in _read("/proc/meminfo").splitlines() if line.startswith("MemTotal")), "MemTotal: 0 kB"
    )
    return Machine(
        cpu=fields.get("model name", platform.processor() or platform.machine()),
        cores=available_cpus(),
        flags=[flag for flag in _TELLING_FLAGS if flag in flags],
        memory_gb=round(int(memory.split()[1]) / 2**20, 1),
        system=platform.platform(),
        python=platform.python_version(),
        packages={name: version(name) for name in _PACKAGES},
    )


def describe(machine: Machine) -> str:
    """One line for the head of a table."""
    return f"{machine.cpu}, {machine.cores} cores, {machine.memory_gb:.0f} GB, {' '.join(machine.flags)}"


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:  # not Linux
        return ""
