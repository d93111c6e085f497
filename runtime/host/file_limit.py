"""Open-file limit (RLIMIT_NOFILE): raise the soft limit to the hard one."""

from __future__ import annotations

import sys

if sys.platform != "win32":
    import resource

ENOUGH = 16384


def raise_file_limit() -> int | None:
    """Raise the soft limit of open files as far as the hard one allows; returns it, None where there is none."""
    if sys.platform == "win32":
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return ENOUGH
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if soft >= wanted:
        return soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted
