"""What is compiled: the QEMU plugin for this host, and the kernel in a program for the emulated processors."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from benchmarks.measurements.instructions.cpus import Architecture
from runtime.errors import Refusal

HERE = Path(__file__).parent
PLUGIN = HERE / "count_instructions.c"
KERNEL = Path(__file__).parents[3] / "runtime" / "native" / "kernel"
RUN_JOB = HERE / "run_job.c"
SOURCES = (RUN_JOB, *sorted(KERNEL.rglob("*.c")))
FLAGS = ("-std=c17", "-ffp-contract=off", f"-I{KERNEL}")
ZIG = (sys.executable, "-m", "ziglang", "cc")
# As `make kernel` compiles for serving, but for the C library: musl, so that the program is static and runs anywhere.
TARGETS: dict[Architecture, tuple[str, ...]] = {
    "x86_64": ("-target", "x86_64-linux-musl", "-mcpu=x86_64"),
    "aarch64": ("-target", "aarch64-linux-musl", "-mcpu=generic"),
}


def plugin(cache: Path) -> Path:
    """The plugin, compiled for this host."""
    return _compiled([PLUGIN], ["-shared", "-fPIC", "-O2", "-std=gnu17", "-Wall", "-Wextra", "-Werror"], cache)


def run_job(architecture: Architecture, cache: Path) -> Path:
    """run_job.c and the kernel as one static program for `architecture`."""
    flags = [*TARGETS[architecture], *FLAGS, "-static", "-O3", "-fno-sanitize=all"]
    return _compiled(SOURCES, [*flags, "-lm", "-lpthread"], cache)


def _compiled(sources: Sequence[Path], flags: Sequence[str], cache: Path) -> Path:
    """What becomes of these sources; compiled where `cache` does not have it yet."""
    if find_spec("ziglang") is None:
        raise Refusal("the compiler is not installed; set up the environment that has it with `make check`")
    named = hashlib.sha256("\n".join(flags).encode())
    for file in (*sources, *sorted(KERNEL.rglob("*.h"))):
        named.update(file.read_bytes())
    made = cache / "compiled" / f"{sources[0].stem}-{named.hexdigest()[:16]}"
    if made.exists():
        return made
    made.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=made.parent) as folder:
        file = Path(folder) / made.name
        command = [*ZIG, *flags, "-o", str(file), *map(str, sources)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise Refusal(f"{sources[0].name} does not compile: {done.stderr.strip().splitlines()[0]}")
        os.replace(file, made)  # noqa: PTH105 - another process may make the same
    return made
