"""`python -m tests.support.host.confined MODULE …`: run a module in the cgroup DANDELION_TEST_CGROUP, on CPUS cores."""

from __future__ import annotations

import os
import sys
from pathlib import Path

GROUP, CPUS = "DANDELION_TEST_CGROUP", "DANDELION_TEST_CPUS"

if __name__ == "__main__":
    (Path(os.environ[GROUP]) / "cgroup.procs").write_text(str(os.getpid()))
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(os.environ[CPUS])])
    os.execv(sys.executable, [sys.executable, "-m", *sys.argv[1:]])  # noqa: S606
