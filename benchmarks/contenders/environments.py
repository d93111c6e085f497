"""Virtual environments for the servers under test, made with uv and kept until their requirements change."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.contenders.installed import folder_bytes
from runtime.errors import Refusal

MADE = "made.txt"
LAST_LINES = 3


class NotInstalled(Refusal):
    """A server that cannot be installed here; the message says why."""


def environment(requirements: Path, folder: Path, *, extra: str = "", install: bool = True) -> Path:
    """The environment in `folder`, made of `requirements` first where it is not there or they have changed.

    `requirements` is a list for pip, or the pyproject.toml of a project that is installed to be run where it lies, with
    what its `extra` names.
    Raises NotInstalled where it cannot be made, or is not there and `install` is False.
    """
    folder = folder.resolve()
    name = folder.name
    mark = hashlib.sha256(requirements.read_bytes() + sys.version.encode() + extra.encode()).hexdigest()
    if _mark(folder) == mark:
        return folder
    if not install:
        raise NotInstalled(f"{name}: not installed; leave out --installed-only to install it")
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    uv = _uv()
    _run(name, [uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
    links = [part for link in os.environ.get("PIP_FIND_LINKS", "").split() for part in ("--find-links", link)]
    # Compiled once here, as pip does: the first start must not pay for it.
    command = [uv, "pip", "install", "--quiet", "--compile-bytecode", *links, "--python", str(folder)]
    project = requirements.name == "pyproject.toml"
    what = (
        ["--editable", f"{requirements.parent}[{extra}]" if extra else str(requirements.parent)]
        if project
        else ["--requirement", str(requirements)]
    )
    _run(name, [*command, *what])
    (folder / MADE).write_text(mark)
    return folder


def python_of(folder: Path) -> Path:
    """The environment's interpreter."""
    return folder / "bin" / "python"


def installed_bytes(folder: Path) -> int:
    """Size of everything installed in it, compiled Python left out."""
    return sum(folder_bytes(site) for site in folder.glob("lib/python*/site-packages"))


def versions(name: str, folder: Path) -> dict[str, str]:
    """What is installed in it."""
    lines = _run(name, [_uv(), "pip", "freeze", "--quiet", "--python", str(folder)]).splitlines()
    return dict(sorted(line.split("==", 1) for line in lines if "==" in line))


def _mark(folder: Path) -> str | None:
    try:
        return (folder / MADE).read_text()
    except OSError:
        return None


def _uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise Refusal("uv is not installed, and the servers under test need it; run `pip install uv`")
    return found


def _run(name: str, command: list[str]) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise NotInstalled(f"{name}: cannot be installed: {' '.join(said[-LAST_LINES:])[:300]}")
    return done.stdout
