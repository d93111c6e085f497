"""The priority of a thread: on Linux each has a niceness of its own."""

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
