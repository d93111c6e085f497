from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.host.interference import watch_contention
from benchmarks.host.processes import cpu_s, resident_bytes, tree, wait_until_ended
from tests.support.waiting import wait_until

# Longer than the tests ask for: the kernel counts in ticks of 10 ms, and rounds each of a process's times down.
BUSY = "import time\nuntil = time.process_time() + 0.5\nwhile time.process_time() < until: pass\nprint(1, flush=True)\n"
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


def test_a_child_that_is_included_is_not_contention():
    busy_s = iter([0.0, 0.4])
    child = subprocess.Popen(
        [sys.executable, "-c", TOLD + BUSY + "time.sleep(60)"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        with watch_contention(1, lambda: next(busy_s)) as watch:
            watch.include(child.pid)
            child.stdin.close()  # it begins
            child.stdout.readline()
        assert watch.seen.busy_cores == pytest.approx(0, abs=0.05)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def test_what_a_child_did_before_it_was_included_counts_nowhere():
    child = subprocess.Popen([sys.executable, "-c", BUSY + "time.sleep(60)"], stdout=subprocess.PIPE)
    try:
        child.stdout.readline()
        with watch_contention(1) as watch:
            watch.include(child.pid)
            child.kill()
            child.wait()
            assert watch.ours_s() <= -0.4  # waited for: all of its work is now among our own
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
