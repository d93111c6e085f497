"""Confinement: start a Python module inside cgroups and under a hard limit of open files.

`python -m benchmarks.host.confined FOLDER:FOLDER FILES MODULE ARGUMENT…`; no folder and 0 files are no limits.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.host.memory_cgroup import MemoryCgroup


def confined(module: str, group: MemoryCgroup | None, files: int | None) -> tuple[str, ...]:
    """What follows `python -m` for `module` to run inside `group` with at most `files` open files."""
    folders = os.pathsep.join(str(folder) for folder in group.folders) if group else ""
    return ("benchmarks.host.confined", folders, str(files or 0), module)


def main(arguments: Sequence[str]) -> None:
    """Enter the groups, set the limit, and become the module."""
    folders, files, *module = arguments
    for folder in filter(None, folders.split(os.pathsep)):
        (Path(folder) / "cgroup.procs").write_text(str(os.getpid()))
    if most := int(files):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    os.execv(sys.executable, [sys.executable, "-m", *module])  # noqa: S606 - the same interpreter


if __name__ == "__main__":
    main(sys.argv[1:])
