"""Print the extras that `make run` installs on this host, or say in one line why it cannot serve, before pip fails.

    python deploy/local/check_host.py

Which wheels there are is what docs/operations.md lists; this needs nothing but Python.
"""

from __future__ import annotations

import os
import platform
import re
import struct
import sys
import sysconfig
from pathlib import Path

WITH_ONNXRUNTIME, WITHOUT = "ui,onnxruntime", "ui"
OLDEST = {"glibc": (2, 28), "musl": (1, 2)}  # of the wheels and the native kernel
OLDEST_MACOS = (14,)
CONTAINER = "use a 64-bit Linux host or the container image"


class CannotServe(Exception):
    """This host cannot serve; the message says what is needed."""


def extras(
    system: str, machine: str, bits: int, libc: str, version: tuple[int, ...], flags: frozenset[str] | None
) -> str:
    """The extras for a host, as in `pip install '.[…]'`. Raises CannotServe.

    `system` and `machine` are those of `uname`, `bits` of the Python; `libc` is glibc, musl or empty; `version` is
    that of the C library or of macOS, empty if not known; `flags` are the processor's of /proc/cpuinfo, if any.
    """
    if system == "Darwin":
        return _on_macos(machine, version)
    if system != "Linux":
        raise CannotServe(f"{system} is not supported; use Linux, macOS on Apple silicon, WSL 2 or a container")
    if bits != 64:
        raise CannotServe(f"this Python is of {bits} bits, and there are wheels for 64 alone; {CONTAINER}")
    if machine not in {"x86_64", "aarch64"}:
        what = f"there are neither wheels nor a native kernel for {machine}"
        raise CannotServe(f"{what}; use x86-64 or 64-bit ARM")
    if libc not in OLDEST:
        raise CannotServe("the C library of this Python is neither glibc nor musl; use the container image")
    if version and version < OLDEST[libc]:
        found, oldest = (".".join(map(str, numbers)) for numbers in (version, OLDEST[libc]))
        raise CannotServe(f"{libc} {found} is too old, {oldest} is needed; use a newer system or the container image")
    if machine == "x86_64" and flags is not None and "sse4_2" not in flags:
        raise CannotServe("this processor has no SSE4.2, which NumPy's wheels need; use one of 2009 or newer")
    return WITH_ONNXRUNTIME if libc == "glibc" else WITHOUT


def _on_macos(machine: str, version: tuple[int, ...]) -> str:
    if machine != "arm64":
        raise CannotServe("on macOS the model is computed by onnxruntime, of which there is no wheel for Intel; "
                          "use Apple silicon, or Linux in a container")  # fmt: skip
    if version and version < OLDEST_MACOS:
        raise CannotServe(f"onnxruntime needs macOS {OLDEST_MACOS[0]} or newer; update it, or use a container")
    return WITH_ONNXRUNTIME


def main() -> None:
    """Look at this host."""
    system, machine = platform.system(), platform.machine()
    libc, version = _macos() if system == "Darwin" else _libc()
    try:
        print(extras(system, machine, 8 * struct.calcsize("P"), libc, version, _flags()))
    except CannotServe as reason:
        sys.exit(f"this host cannot serve: {reason}")


def _libc() -> tuple[str, tuple[int, ...]]:
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (AttributeError, OSError, ValueError):  # musl knows no such name
        name = version = ""
    if name == "glibc":
        return name, numbers_of(version)
    built_for = f"{sysconfig.get_config_var('HOST_GNU_TYPE')} {sysconfig.get_config_var('MULTIARCH')}"
    return ("musl" if "musl" in built_for else ""), ()


def _macos() -> tuple[str, tuple[int, ...]]:
    return "", numbers_of(platform.mac_ver()[0])


def numbers_of(version: str) -> tuple[int, ...]:
    """`2.36` as (2, 36), whatever follows the numbers."""
    return tuple(map(int, re.findall(r"\d+", version)[:2]))


def _flags() -> frozenset[str] | None:
    try:
        found = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        return None
    return frozenset(found[1].split()) if found else None


if __name__ == "__main__":
    main()
