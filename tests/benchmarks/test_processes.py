from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.neighbours import watched
from benchmarks.processes import cpu_s, resident_bytes, tree, wait_until_ended
from tests.waiting import wait_until

BUSY = "import time\nuntil = time.process_time() + 0.4\nwhile time.process_time() < until: pass\nprint(1, flush=True)\n"
TOLD = "import sys\nsys.stdin.readline()\n"  # waits to be told
PARENT = f"import subprocess, sys, time\nsubprocess.run([sys.executable, '-c', '''{BUSY}{TOLD}''']); time.sleep(60)"


@pytest.fixture
def parent():
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def test_a_tree_holds_the_children_while_they_live(parent):
    wait_until(lambda: len(tree(parent.pid)) == 2, "parent and child")


def test_the_work_of_a_child_that_has_ended_counts(parent):
    assert parent.stdout.readline() == "1\n"
    parent.stdin.write("end\n")
    # It is no longer there a moment before its parent has heard of its work.
    wait_until(lambda: len(tree(parent.pid)) == 1 and cpu_s(tree(parent.pid)) >= 0.4, "the child's work counts")


def test_the_memory_of_one_process_is_its_rss():
    rollup = Path(f"/proc/{os.getpid()}/smaps_rollup").read_text()
    rss = next(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Rss:"))
    assert resident_bytes([os.getpid()]) == pytest.approx(rss, rel=0.05)


def test_a_page_of_a_file_counts_once_for_two_processes():
    program = "import numpy, time; print(1, flush=True); time.sleep(60)"
    both = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) for _ in range(2)]
    try:
        for process in both:
            process.stdout.readline()
        one, together = resident_bytes([both[0].pid]), resident_bytes([process.pid for process in both])
        assert one < together < 1.95 * one
    finally:
        for process in both:
            process.kill()
            process.wait()
            process.stdout.close()


def test_a_process_that_is_gone_has_nothing():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert tree(process.pid) == []
    assert resident_bytes([process.pid]) == cpu_s([process.pid]) == 0
    assert wait_until_ended([process.pid], timeout_s=1) == []


def test_whoever_stays_is_told():
    assert wait_until_ended([os.getpid()], timeout_s=0.05) == [os.getpid()]


def test_a_child_that_is_included_is_no_neighbour(tmp_path: Path):
    stat = tmp_path / "stat"
    stat.write_text("cpu 0 0 0 0 0 0 0 0 0 0\n")
    child = subprocess.Popen(
        [sys.executable, "-c", TOLD + BUSY + "time.sleep(60)"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        with watched(1, stat) as watch:
            watch.include(child.pid)
            child.stdin.close()  # it begins
            child.stdout.readline()
            stat.write_text(f"cpu {int(0.4 * os.sysconf('SC_CLK_TCK'))} 0 0 0 0 0 0 0 0 0\n")
        assert watch.seen.busy_cores == pytest.approx(0, abs=0.05)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def test_what_a_child_did_before_it_was_included_counts_nowhere(tmp_path: Path):
    child = subprocess.Popen([sys.executable, "-c", BUSY + "time.sleep(60)"], stdout=subprocess.PIPE)
    child.stdout.readline()
    with watched(1, tmp_path / "none") as watch:
        watch.include(child.pid)
        child.kill()
        child.wait()
        assert watch.ours_s() <= -0.4  # waited for: all of its work is now among our own
    child.stdout.close()
