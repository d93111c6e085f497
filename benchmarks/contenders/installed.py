"""Installed size of a package with its dependency closure."""

from __future__ import annotations

import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

import runtime

OURS = "dandelion"
MEGABYTE = 1_000_000


def closure(name: str) -> dict[str, Distribution]:
    """The installed package `name` and all that it needs, by normalised name; extras only where one is asked for.

    Raises PackageNotFoundError where `name` itself is not installed; what its optional needs lack is left out.
    """
    found: dict[str, Distribution] = {}
    visited: set[tuple[str, str]] = set()
    wanted = [(name, "")]
    while wanted:
        asked = wanted.pop()
        if asked in visited:
            continue
        visited.add(asked)
        package, extra = asked
        try:
            installed = distribution(package)
        except PackageNotFoundError:
            if not found:
                raise
            continue
        found[_normalised(package)] = installed
        for line in installed.requires or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                wanted += [(requirement.name, one) for one in ("", *requirement.extras)]
    return found


def our_megabytes() -> dict[str, float]:
    """What an edge host carries, package by package: the runtime's own folder, and all that it needs."""
    sizes = {name: package_bytes(installed) / MEGABYTE for name, installed in closure(OURS).items()}
    # Not the package's own list of files: an editable install lists none.
    return sizes | {OURS: folder_bytes(Path(runtime.__file__).parent) / MEGABYTE}


def package_bytes(installed: Distribution) -> int:
    """Size of a package's files as they were installed; compiled Python (made again anywhere) is left out."""
    files = [Path(str(file.locate())) for file in installed.files or [] if file.suffix != ".pyc"]
    return sum(file.stat().st_size for file in files if file.is_file())


def folder_bytes(folder: Path) -> int:
    """Size of all files below a folder, compiled Python left out."""
    return sum(
        file.lstat().st_size
        for file in folder.rglob("*")
        if file.is_file() and not file.is_symlink() and file.suffix != ".pyc"
    )


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
