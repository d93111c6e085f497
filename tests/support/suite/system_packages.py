"""Debian packages that tests use: a test is skipped if one is missing, and the end of the run says what to install."""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

LIST = Path(__file__).parents[2] / "system-packages.txt"
INSTALL = "apt-get install "


@cache
def programs() -> dict[str, list[str]]:
    """The programs, or patterns of their paths, by which each package is found."""
    lines = (line.split() for line in LIST.read_text().splitlines() if line and not line.startswith("#"))
    return {package: names.split(",") for package, names in lines}


def program(package: str) -> str | None:
    """Where the program of `package` is; None if it is not installed."""
    found = (shutil.which(name) or next(glob.iglob(name), None) for name in programs()[package])  # noqa: PTH207
    return next(filter(None, found), None)


def missing(*packages: str) -> list[str]:
    """Those of `packages` that are not installed."""
    return sorted(name for name in packages if program(name) is None)


def needs(*packages: str) -> pytest.MarkDecorator:
    """Skip a test if one of `packages` is not installed."""
    return pytest.mark.skipif(bool(missing(*packages)), reason=INSTALL + " ".join(missing(*packages)))


needs_root = pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="run as root")


def install_line(reasons: Iterable[str]) -> str | None:
    """One command that brings all that the skipped tests need; None if they need nothing of the kind."""
    wanted = {name for reason in reasons if INSTALL in reason for name in reason.split(INSTALL, 1)[1].split()}
    return INSTALL + " ".join(sorted(wanted)) if wanted else None
