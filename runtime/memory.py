"""Giving memory back: loading a model leaves behind freed pages that the C library would keep."""

from __future__ import annotations

import ctypes
import gc


def return_free_memory() -> None:
    """Hand freed pages back to the system, where the C library is glibc; elsewhere it does so by itself."""
    gc.collect()
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return
    trim(0)
