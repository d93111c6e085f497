"""The processors that are emulated, and what our kernel and onnxruntime are to compute with on each."""

from __future__ import annotations

from typing import Literal, NamedTuple

from runtime.native.layout import Instructions

Architecture = Literal["x86_64", "aarch64"]

_ARMV8 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
_ARMV82 = f"{_ARMV8} atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp"


class EmulatedCpu(NamedTuple):
    """A processor by QEMU's name for it.

    `at_most` is what our kernel is to take of onnxruntime's INT8 instructions; `exact` is whether onnxruntime serves
    with its exact INT8 kernel there, since the fast one saturates. `part` and `features` are what Linux says of an ARM
    processor in /proc/cpuinfo, by which onnxruntime chooses among its kernels.
    """

    name: str
    architecture: Architecture
    instructions: Instructions
    at_most: float
    exact: bool = False
    part: str = ""
    features: str = ""


CPUS = {
    cpu.name: cpu
    for cpu in (
        EmulatedCpu("Nehalem", "x86_64", "sse4", 0.42),
        EmulatedCpu("Haswell", "x86_64", "avx2", 0.62, exact=True),
        EmulatedCpu("cortex-a72", "aarch64", "neon", 0.80, part="0xd08", features=_ARMV8),
        EmulatedCpu("cortex-a76", "aarch64", "dotprod", 0.68, part="0xd0b", features=_ARMV82),
        EmulatedCpu("neoverse-n1", "aarch64", "dotprod", 0.68, part="0xd0c", features=_ARMV82),
        # All that QEMU knows: I8MM and, for onnxruntime, SVE too.
        EmulatedCpu("max", "aarch64", "i8mm", 0.45, part="0xd0c", features=f"{_ARMV82} i8mm"),
    )
}


def cpuinfo(cpu: EmulatedCpu) -> str:
    """What /proc/cpuinfo says on a board with one core of this ARM processor."""
    fields = {
        "processor": "0",
        "BogoMIPS": "100.00",
        "Features": cpu.features,
        "CPU implementer": "0x41",
        "CPU architecture": "8",
        "CPU variant": "0x0",
        "CPU part": cpu.part,
        "CPU revision": "0",
    }
    return "".join(f"{name}\t: {value}\n" for name, value in fields.items()) + "\n"
