"""Heap trimming: glibc malloc settings (mallopt, malloc_trim) that keep the resident memory of a server small."""

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
TRIM_INTERVAL_S = 2.0  # between two trims: with fewer, more memory is kept; with more, it is allocated again sooner
TRIM_AFTER_CPU_S = 0.1  # of CPU since the last trim: an idle process has freed nothing, and a trim takes milliseconds
KEPT_BYTES = 8 * 2**20  # for each thread: what one inference at 224 px takes and frees again


def return_large_buffers() -> bool:
    """Return buffers of LARGE_BYTES and more to the system as soon as they are freed; False if not supported.

    Left to itself, glibc raises that threshold to the largest buffer freed so far, up to 32 MB, and keeps what is
    smaller for the thread that asked: after one giant photo in each thread, hundreds of megabytes for good.
    """
    # Setting one stops the adjustment of both: without the second, each small photo would cost system calls.
    return _set(_M_MMAP_THRESHOLD, LARGE_BYTES) and _set(_M_TRIM_THRESHOLD, KEPT_BYTES)


def share_one_arena() -> bool:
    """Make all threads that start from now on share one malloc arena; False if not supported.

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
    """Return freed pages to the system now, if the C library is glibc: loading a model leaves many.

    What is still alive, modules above all, is for a long time: later passes of the garbage collector, which stop all
    threads, leave it out (gc.freeze).
    """
    gc.unfreeze()  # a replaced model may have become garbage
    gc.collect()
    gc.freeze()
    _trim()


class HeapTrimmer:
    """Trims the heap every few seconds while the process is busy.

    Inferences leave fragmentation: freed pages between live ones, which glibc keeps. That is tens of megabytes after a
    busy minute.
    """

    def __init__(self, every_s: float = TRIM_INTERVAL_S) -> None:
        """Trim every `every_s` seconds, once started."""
        self._every_s = every_s
        self._stopped = threading.Event()

    def start(self) -> None:
        """Start a background thread."""
        threading.Thread(target=self._run, name="heap-trimmer", daemon=True).start()

    def stop(self) -> None:
        """Stop the background thread."""
        self._stopped.set()

    def _run(self) -> None:
        trimmed_s = time.process_time()
        while not self._stopped.wait(self._every_s):
            if time.process_time() - trimmed_s >= TRIM_AFTER_CPU_S:
                _trim()
                trimmed_s = time.process_time()


def _trim() -> None:
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library, which has ways of its own
        return
    trim(0)
