from __future__ import annotations

import os
import sys

import numpy as np

from benchmarks.host.finished_process import run_to_end


def test_time_memory_and_words_of_a_command_are_told() -> None:
    program = "import sys, time; kept = bytearray(80_000_000); time.sleep(0.3); print('made it'); sys.exit(3)"
    ended = run_to_end([sys.executable, "-c", program], os.environ)
    assert (ended.status, ended.said) == (3, "made it")
    assert 0.3 < ended.wall_s < 30
    assert ended.cpu_s < ended.wall_s + 1
    assert 80e6 < ended.peak_bytes < 160e6


def test_memory_of_the_process_that_asks_is_not_counted() -> None:
    kept = np.ones(30_000_000)
    ended = run_to_end([sys.executable, "-c", "import time; time.sleep(0.2)"], os.environ)
    assert ended.peak_bytes < kept.nbytes / 4
