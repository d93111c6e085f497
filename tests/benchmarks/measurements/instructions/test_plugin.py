"""The QEMU plugin counts what a program of known length executes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.measurements.instructions.cpus import CPUS
from benchmarks.measurements.instructions.emulation import count
from tests.support.host.emulated import CACHE
from tests.support.suite.system_packages import needs

pytestmark = [pytest.mark.emulated, needs("qemu-user")]

AROUND = 200  # instructions of the system call and its wrapper, at most
ROUNDS = 100_000
LOOPS = {
    "Nehalem": ("x86_64", f'__asm__ volatile("mov ${ROUNDS}, %%ecx\\n1: dec %%ecx\\njnz 1b" ::: "ecx", "cc");', 2),
    "cortex-a72": (
        "aarch64",
        f'__asm__ volatile("mov x9, %0\\n1: subs x9, x9, 1\\nb.ne 1b" :: "r"({ROUNDS}L) : "x9");',
        2,
    ),
}
REPEATED = f"""
    static char room[{ROUNDS}];
    char *to = room;
    long left = sizeof room;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(left) : "a"(7) : "memory");
"""


def program(body: str, architecture: str, folder: Path) -> list[str]:
    """`body` between two marks, compiled for `architecture`."""
    (folder / "main.c").write_text(
        "#define _GNU_SOURCE\n#include <unistd.h>\n"
        f"int main(void) {{ syscall(9999, 0); {{ {body} }} syscall(9999, 1); syscall(9999, 7); return 0; }}"
    )
    compiler = [sys.executable, "-m", "ziglang", "cc", "-target", f"{architecture}-linux-musl", "-static", "-O2"]
    subprocess.run([*compiler, "-o", str(folder / "main"), str(folder / "main.c")], check=True)
    return [str(folder / "main")]


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_counts_as_often_as_it_runs(name: str, tmp_path: Path):
    architecture, body, instructions = LOOPS[name]
    (loop, after), written = count(CPUS[name], program(body, architecture, tmp_path), CACHE)
    assert 0 <= loop - instructions * ROUNDS < AROUND
    assert 0 < after < AROUND
    assert [line.split()[:2] for line in written.splitlines()] == [["MARK", "1"], ["MARK", "7"]]


def test_a_repeated_instruction_counts_once_as_a_processor_counts_it(tmp_path: Path):
    counts, _ = count(CPUS["Nehalem"], program(REPEATED, "x86_64", tmp_path), CACHE)
    assert counts[0] < AROUND


def test_the_most_frequent_mnemonics_and_blocks_are_listed_for_whoever_tunes(tmp_path: Path):
    command = program(LOOPS["Nehalem"][1], "x86_64", tmp_path)
    counts, written = count(CPUS["Nehalem"], command, CACHE, show="mnemonics=2,blocks=1")
    lines = written.splitlines()
    first = lines[1 : lines.index(next(line for line in lines if line.startswith("MARK 7")))]
    assert {line.split()[-1] for line in first[:2]} == {"decl", "jne"}
    assert "dec" in first[3]  # the block: the loop
    assert 0 <= int(first[0].split()[1]) - ROUNDS < AROUND
    assert counts[0] > 2 * ROUNDS
