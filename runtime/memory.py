"""How the C library keeps freed memory, which decides what a long-running process occupies."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
import time

# Parameters of glibc's mallopt(3).
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

LARGE_BYTES = 2 * 2**20
TIDY_S = 2.0  # between two times: less often, and more is kept; more often, and it is taken again sooner
TIDY_AFTER_S = 0.1  # of CPU since the last time: an idle process has freed nothing, and a look takes milliseconds
KEPT_BYTES = 8 * 2**20  # for each thread: what one inference at 224 px takes and frees again


def return_large_buffers() -> bool:
    """Have buffers from LARGE_BYTES on given back to the system as soon as they are freed; False where it cannot be.

    Left to itself, glibc raises that threshold to the largest buffer freed so far, up to 32 MB, and keeps what is
    smaller for the thread that asked: after one giant photo in each thread, hundreds of megabytes for good.
    """
    # Setting one stops the adjustment of both: without the second, each small photo would cost system calls.
    return _set(_M_MMAP_THRESHOLD, LARGE_BYTES) and _set(_M_TRIM_THRESHOLD, KEPT_BYTES)


def share_one_arena() -> bool:
    """Have threads that begin from now on take memory from one place; False where it cannot be.

    Left to itself, glibc gives each thread a heap, and each keeps what was freed there. The interpreter's lock lets
    one thread at a time allocate anyway: sharing costs no speed that can be measured.
    """
    return _set(_M_ARENA_MAX, 1)


def _set(parameter: int, value: int) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    try:
        return bool(ctypes.CDLL(None).mallopt(parameter, value))
    except (AttributeError, OSError):  # another C library, which has ways of its own
        return False


def return_free_memory() -> None:
    """Hand freed pages back to the system at once, where the C library is glibc: loading a model leaves many."""
    gc.collect()
    _trim()


class Tidying:
    """Hands freed pages back every few seconds in which the process works, for as long as it runs.

    What inferences take and free again lies scattered between what stays, where glibc would keep it for good: tens of
    megabytes after a busy minute.
    """

    def __init__(self, every_s: float = TIDY_S) -> None:
        """Not before it is started."""
        self._every_s = every_s
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin, in a thread of its own."""
        threading.Thread(target=self._run, name="tidy-memory", daemon=True).start()

    def stop(self) -> None:
        """End it soon."""
        self._stopped.set()

    def _run(self) -> None:
        tidied_s = time.process_time()
        while not self._stopped.wait(self._every_s):
            if time.process_time() - tidied_s >= TIDY_AFTER_S:
                _trim()
                tidied_s = time.process_time()


def _trim() -> None:
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library, which has ways of its own
        return
    trim(0)
