"""Run a program on an emulated processor, and count its instructions between marks."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measurements.instructions.compiled import plugin
from benchmarks.measurements.instructions.cpus import Architecture, EmulatedCpu
from runtime.errors import Refusal


def emulator(architecture: Architecture) -> str:
    """QEMU's program for it; raises Refusal where it is not installed."""
    found = shutil.which(f"qemu-{architecture}")
    if found is None:
        raise Refusal(f"qemu-{architecture} is not installed; install Debian's package qemu-user")
    return found


def qemu_version() -> str:
    """The version of the emulator, as it says it."""
    command = [emulator("x86_64"), "--version"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[0]


def emulate(
    cpu: EmulatedCpu, command: Sequence[str], *settings: str, environment: dict[str, str] | None = None
) -> bytes:
    """What `command` prints on `cpu`; `settings` are QEMU's. Raises Refusal with its last words where it fails."""
    whole = [emulator(cpu.architecture), "-cpu", cpu.name, *settings, *command]
    # What is set of OpenBLAS is for the host's processor: it would compute with instructions that are not emulated.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
    done = subprocess.run(whole, check=False, capture_output=True, env=inherited | (environment or {}))
    if done.returncode:
        said = [line for line in done.stderr.decode(errors="replace").splitlines() if "TCG doesn't support" not in line]
        raise Refusal(f"{Path(command[0]).name} on {cpu.name}: {said[-1] if said else f'status {done.returncode}'}")
    return done.stdout


def count(
    cpu: EmulatedCpu,
    command: Sequence[str],
    cache: Path,
    *settings: str,
    environment: dict[str, str] | None = None,
    show: str = "",
) -> tuple[list[int], str]:
    """Instructions of `command` up to each mark, and all that the plugin wrote.

    `show` is for whoever tunes: "mnemonics=20,blocks=3" lists what is executed most.
    Raises Refusal where QEMU takes no such plugins.
    """
    compiled = plugin(cache)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "counts"
        words = f"{compiled.resolve()},out={out}{',' * bool(show)}{show}"
        try:
            emulate(cpu, command, "-plugin", words, *settings, environment=environment)
        except Refusal as error:
            if not out.exists():  # the plugin opens it
                raise Refusal(f"{qemu_version()} loads no plugins ({error}); Debian 12's qemu-user 7.2 does") from error
            raise
        written = out.read_text()
    marks = [line.split() for line in written.splitlines() if line.startswith("MARK ")]
    return [int(instructions) for _, _, instructions in marks], written
