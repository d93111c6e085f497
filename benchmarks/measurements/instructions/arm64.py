"""An ARM64 Debian with Python, onnxruntime and NumPy, for emulation: unpacked packages below one folder.

Nothing of this machine is changed: apt keeps its lists and packages in a folder of their own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from benchmarks.measurements.instructions.cpus import EmulatedCpu, cpuinfo
from runtime.errors import Refusal

DEBIAN = ("python3-minimal", "libpython3-stdlib", "libstdc++6")
WHEELS = ("numpy", "onnxruntime", "msgspec")  # what runtime.inference.onnxruntime_session imports
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")


class Arm64Python(NamedTuple):
    """Below `folder` are `root` (the files of Debian's packages) and `site` (the wheels)."""

    folder: Path

    @property
    def python(self) -> Path:
        """The interpreter."""
        return _python_below(self.folder / "root")

    @property
    def site(self) -> Path:
        """Where the packages lie."""
        return self.folder / "site"

    def prefix(self, cpu: EmulatedCpu) -> Path:
        """What QEMU is to take for `/` first (`-L`): the root with the /proc/cpuinfo of a board with this processor."""
        made = self.folder / "cpus" / cpu.name
        (made / "proc").mkdir(parents=True, exist_ok=True)
        for folder in (self.folder / "root").iterdir():
            if folder.name != "proc" and not (made / folder.name).is_symlink():
                (made / folder.name).symlink_to(Path("..", "..", "root", folder.name))
        (made / "proc" / "cpuinfo").write_text(cpuinfo(cpu))
        return made


def arm64_python(cache: Path) -> Arm64Python:
    """Python for ARM64 with the packages of this environment's versions; fetched where `cache` does not have it yet.

    Raises Refusal where the machine has no apt, or a package cannot be fetched.
    """
    wheels = [f"{name}=={version(name)}" for name in WHEELS]
    made = (cache / "-".join(["arm64", *wheels])).resolve()
    if made.exists():
        return Arm64Python(made)
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise Refusal(
                f"{program} is not installed: onnxruntime for ARM64 runs on packages of Debian; use Debian 12"
            )
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as name:
        folder = Path(name).resolve() / "made"
        _unpack_debian(Path(name).resolve() / "apt", folder / "root")
        _install_wheels(wheels, _python_below(folder / "root"), folder / "site")
        if not made.exists():  # unless another process was quicker
            os.rename(folder, made)  # noqa: PTH104
    return Arm64Python(made)


def _unpack_debian(apt: Path, root: Path) -> None:
    """Fetch DEBIAN and what they depend on, of this machine's own sources but for ARM64, and unpack them."""
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (apt / folder).mkdir(parents=True)
    (apt / "status").touch()  # nothing is installed: all that they depend on is fetched
    settings = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Sandbox::User": "root",
        "Debug::NoLocking": "1",
        "Dir::State": apt / "state",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt / "cache",
    }
    command = ["apt-get", "--quiet", *(word for name, value in settings.items() for word in ("-o", f"{name}={value}"))]
    _run("Debian's packages for ARM64", [*command, "update"])
    _run(
        "Debian's packages for ARM64",
        [*command, "--yes", "--no-install-recommends", "--download-only", "install", *DEBIAN],
    )
    root.mkdir(parents=True)
    for package in sorted((apt / "cache" / "archives").glob("*.deb")):
        _run(package.name, ["dpkg-deb", "--extract", str(package), str(root)])


def _install_wheels(wheels: Sequence[str], python: Path, site: Path) -> None:
    platforms = [word for name in PLATFORMS for word in ("--platform", name)]
    number = python.name.removeprefix("python")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    command += ["--no-deps", "--only-binary=:all:", "--python-version", number, *platforms, "--target", str(site)]
    _run("onnxruntime for ARM64", [*command, *wheels])


def _python_below(root: Path) -> Path:
    return next(iter(sorted((root / "usr" / "bin").glob("python3.*"))))


def _run(what: str, command: Sequence[str]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()] or [command[0]]
        reason = next((line for line in said if line.startswith(("E:", "ERROR:"))), said[-1])
        raise Refusal(f"{what} cannot be fetched: {reason[:300]}")
