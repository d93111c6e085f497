"""The prebuilt libraries under musl (Alpine): made for glibc, they name nothing that musl's loader does not have.

findings/musl-glibc-library.sh says why that is enough.
"""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import pytest

from benchmarks.measurements.instructions.compiled import FLAGS, RUN_JOB, ZIG
from benchmarks.measurements.instructions.job_file import JobFile
from runtime.image import ImageSpec
from runtime.inference.native_session import plan_of
from runtime.native.layout import Instructions
from runtime.native.library import load, prebuilt
from tests.runtime.native.models import CLASSES, COMPILED, HAS_PREBUILT, model_of, photos
from tests.support.suite.system_packages import needs

SIZE, WIDTHS = 32, (16, 16, 16, 16, 32, 32, 32, 32)
# musl's loader takes these for itself, whatever follows the first dot (`reserved` in its ldso/dynlink.c).
OWN = ("c", "pthread", "rt", "m", "dl", "util", "xnet")
MACHINES = ("x86_64", "aarch64")
REFERENCE: Instructions = "reference"


def linked(machine: str, folder: Path) -> Path:
    """run_job.c for musl, linked to the prebuilt library; the linker refuses symbols that musl does not have."""
    made, file = folder / "run_job", prebuilt(machine)
    options = ["-target", f"{machine}-linux-musl", "-dynamic", "-O2", f"-Wl,-rpath,{file.parent}"]
    subprocess.run([*ZIG, *options, *FLAGS, "-o", made, RUN_JOB, file], check=True)
    return made


@pytest.mark.parametrize("machine", MACHINES)
def test_every_symbol_that_it_needs_is_in_musl(machine: str, tmp_path: Path) -> None:
    made = linked(machine, tmp_path)
    assert f"/lib/ld-musl-{machine}.so.1".encode() in made.read_bytes()


@pytest.mark.parametrize("machine", MACHINES)
def test_every_library_that_it_needs_is_musl_itself(machine: str) -> None:
    names = needed(prebuilt(machine).read_bytes())
    assert "libc.so.6" in names
    assert {name.removeprefix("lib").partition(".")[0] for name in names} <= set(OWN)


@pytest.mark.skipif(not HAS_PREBUILT, reason="needs Linux on x86-64 or ARM64")
@needs("musl")
def test_it_computes_under_musl_what_it_computes_here(tmp_path: Path) -> None:
    found = load(COMPILED)
    program = linked(platform.machine(), tmp_path)
    for instructions in (*found.available, REFERENCE):
        job = job_for(instructions)
        told = subprocess.run([program, *job.write(tmp_path)], capture_output=True, check=True).stdout
        assert told == job.run(found), instructions


def job_for(instructions: Instructions) -> JobFile:
    layout = "avx2" if instructions == "reference" else instructions
    plan = plan_of(model_of(SIZE, widths=WIDTHS), ImageSpec(height=SIZE, width=SIZE), CLASSES, layout)
    return JobFile(plan, photos(1, SIZE), instructions)


def needed(content: bytes) -> set[str]:
    """The libraries that an ELF file of 64 bits names (DT_NEEDED)."""
    headers, size, count = number(content, 32, 8), number(content, 54, 2), number(content, 56, 2)
    segments = [content[at : at + size] for at in range(headers, headers + size * count, size)]
    loaded = [part for part in segments if number(part, 0, 4) == 1]
    (dynamic,) = (part for part in segments if number(part, 0, 4) == 2)
    start, length = number(dynamic, 8, 8), number(dynamic, 32, 8)
    entries = [(number(content, at, 8), number(content, at + 8, 8)) for at in range(start, start + length, 16)]
    (strings,) = (value for tag, value in entries if tag == 5)  # their address, of which a segment tells the place
    for part in loaded:
        offset, address, here = number(part, 8, 8), number(part, 16, 8), number(part, 32, 8)
        if address <= strings < address + here:
            names = content[strings - address + offset :]
            return {names[value:].partition(b"\0")[0].decode() for tag, value in entries if tag == 1}
    raise AssertionError("no segment holds the names")


def number(content: bytes, at: int, size: int) -> int:
    return int.from_bytes(content[at : at + size], "little")
