"""The priority of threads: on Linux each has a niceness of its own."""

from __future__ import annotations

import os
import sys
import threading

LOWEST = 19  # as nice(1) has it: such a thread gets what the others leave


def lower_thread_priority(niceness: int) -> None:
    """Run the calling thread at a lower priority than the rest of the process, by `niceness` of LOWEST at most.

    Only Linux has a niceness for each thread; elsewhere nothing is changed.
    """
    if sys.platform == "linux":
        usual = os.getpriority(os.PRIO_PROCESS, 0)
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), min(LOWEST, usual + niceness))


def compute_in_own_threads() -> None:
    """Have NumPy compute in the thread that calls it, with the priority of that one; before NumPy is imported.

    OpenBLAS would start a thread for each further core, with the priority of the process, whoever has work for them.
    What the environment says already stays.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
