"""Child processes of the appliance: they never outlive it, and find its modules."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import runtime

ROOT = Path(runtime.__file__).parents[1]
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def end_with_parent(parent: int) -> None:
    """Have Linux kill this process when process `parent` ends; exit at once if it has ended already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # gone before that took effect
            os._exit(1)


def die_first() -> None:
    """Be the first process that the kernel's OOM killer takes."""
    with suppress(OSError):  # not Linux
        Path("/proc/self/oom_score_adj").write_text("1000")


def environment_of_child() -> dict[str, str]:
    """The environment of a child process that imports this package."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    # One heap and one thread of NumPy's: each takes memory, or reserves address space, which can be limited.
    return os.environ | {"PYTHONPATH": path, "MALLOC_ARENA_MAX": "1", "OPENBLAS_NUM_THREADS": "1"}
