"""Priorities of threads: what computes in the background leaves the processors to what answers."""

from __future__ import annotations

import subprocess
import sys

import pytest

_COMPUTE = """
import os, sys, threading, time
from runtime.host.thread_priority import LOWEST, compute_in_own_threads, lower_thread_priority

def ticks_by_niceness():
    found = {}
    for task in os.listdir("/proc/self/task"):
        fields = open(f"/proc/self/task/{task}/stat").read().rpartition(")")[2].split()
        found[int(fields[16])] = found.get(int(fields[16]), 0) + int(fields[11]) + int(fields[12])
    return found

compute_in_own_threads()
import numpy as np

def work():
    lower_thread_priority(LOWEST)
    numbers, until = np.ones((1000, 512)), time.process_time() + 1
    while time.process_time() < until:
        numbers @ numbers.T
    after = ticks_by_niceness()
    print(after[LOWEST], sum(after.values()) - sum(before.values()))

before = ticks_by_niceness()
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a niceness for each thread")
def test_what_numpy_computes_for_a_thread_has_the_priority_of_that_thread() -> None:
    done = subprocess.run([sys.executable, "-c", _COMPUTE], capture_output=True, text=True, check=True)
    own, all_of_them = map(int, done.stdout.split())
    assert own > 0.9 * all_of_them > 50
