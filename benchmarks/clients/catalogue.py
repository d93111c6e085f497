"""Catalogue of clients and proxies: how each is found, asked for its version and run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from benchmarks.contenders.environments import NotInstalled, environment, python_of, versions

HERE = Path(__file__).parent
PROGRAMS, PROXIES = HERE / "programs", HERE / "proxies"
CANNOT = 3  # the exit code, or the status it prints, of a program whose client has no such request


class NotRun(Exception):
    """A client that is not installed here; the message says what it needs."""


class Found(NamedTuple):
    """A client that is there: its version, and the command that the case, the URL and the photo's file follow."""

    version: str
    command: Sequence[str]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Client:
    """One that this host may have."""

    name: str

    def find(self, folder: Path) -> Found:
        """The installed client; what may be installed without root goes into `folder`. Raises NotRun."""
        raise NotImplementedError


@dataclass(frozen=True)
class Installed(Client):
    """A program of the system: `version` prints its version, and `command` runs it."""

    command: Sequence[str]
    version: Sequence[str]

    def find(self, folder: Path) -> Found:  # noqa: ARG002 - an interface
        """The program on the path."""
        program = self.version[0]
        if shutil.which(program) is None:
            raise NotRun(f"{program} is not installed")
        return Found(_version(self.version), self.command, {})


@dataclass(frozen=True)
class FromPyPI(Client):
    """Packages in an environment of their own; `command` starts what is in its bin folder, else Python the program."""

    requirement: str
    program: str
    package: str = ""
    binary: tuple[str, str] | None = field(default=None)
    needs: str = ""  # a program of the system

    def find(self, folder: Path) -> Found:
        """The client in its environment, which is made first where it is not there."""
        if self.needs and shutil.which(self.needs) is None:
            raise NotRun(f"{self.needs} is not installed")
        listed = folder / f"{self.name}.txt"
        listed.parent.mkdir(parents=True, exist_ok=True)
        listed.write_text(self.requirement + "\n")
        try:
            made = environment(listed, folder / self.name)
        except NotInstalled as error:
            raise NotRun(str(error)) from error
        package = self.package or self.name
        script = PROGRAMS / self.program
        if self.binary is None:
            return Found(versions(self.name, made)[package], [str(python_of(made)), str(script)], {})
        variable, name = self.binary
        return Found(versions(self.name, made)[package], [str(script)], {variable: str(made / "bin" / name)})


@dataclass(frozen=True)
class FromNpm(Client):
    """Packages of npm's, the client first; the program finds them by the variable `variable`."""

    requirement: str
    program: str
    variable: str

    def find(self, folder: Path) -> Found:
        """The client in its folder, where npm installs it first."""
        if shutil.which("npm") is None:
            raise NotRun("npm is not installed")
        home = folder / self.name
        install = ["npm", "install", "--silent", "--prefix", str(home), *self.requirement.split()]
        home.mkdir(parents=True, exist_ok=True)
        if subprocess.run(install, check=False, capture_output=True).returncode:
            raise NotRun(f"npm cannot install {self.requirement}")
        command = ["node", str(PROGRAMS / self.program)]
        return Found(self.requirement.split()[0].rpartition("@")[2], command, {self.variable: str(home.resolve())})


def _version(command: Sequence[str]) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    found = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
    return found[0] if found else "?"


CLIENTS: tuple[Client, ...] = (
    Installed("curl", [str(PROGRAMS / "curl.sh")], ["curl", "--version"]),
    Installed("wget", [str(PROGRAMS / "wget.sh")], ["wget", "--version"]),
    Installed("urllib", [sys.executable, str(PROGRAMS / "urllib_client.py")], [sys.executable, "--version"]),
    FromPyPI("requests", "requests==2.34.2", "requests_client.py"),
    FromPyPI("httpx", "httpx==0.28.1", "httpx_client.py"),
    FromPyPI("aiohttp", "aiohttp==3.14.1", "aiohttp_client.py"),
    Installed("Node fetch", ["node", str(PROGRAMS / "fetch.mjs")], ["node", "--version"]),
    FromNpm("undici", "undici@7.16.0", "undici.mjs", "UNDICI"),
    Installed("Java HttpClient", ["java", str(PROGRAMS / "Client.java")], ["java", "-version"]),
    Installed("Go net/http", ["go", "run", str(PROGRAMS / "client.go")], ["go", "version"]),
    FromPyPI("tritonclient", "tritonclient[http]==2.73.0", "tritonclient_client.py"),
    FromPyPI("kserve", "kserve==0.21.0", "kserve_client.py"),
    # Later wheels carry no perf_analyzer, and the package of that name is empty.
    FromPyPI("perf_analyzer", "tritonclient[http]==2.41.1\nnvidia-cuda-runtime-cu12==12.9.79", "perf_analyzer.sh",
             package="tritonclient", binary=("PERF_ANALYZER", "perf_analyzer")),
    # Clients that are generated from our OpenAPI document.
    FromPyPI("OpenAPI Generator, Python",
             "openapi-generator-cli==7.26.0\npydantic>=2.11\npython-dateutil\ntyping-extensions\nurllib3>=2.7,<3",
             "generated_python.py", package="openapi-generator-cli", needs="java"),
    FromNpm("openapi-ts, TypeScript", "@hey-api/openapi-ts@0.99.0 typescript@5.9.3 esbuild@0.25.12",
            "generated_typescript.mjs", "OPENAPI_TS"),
)  # fmt: skip


@dataclass(frozen=True)
class Proxy:
    """A reverse proxy: its configuration among PROXIES, and the command, in which `{config}` is that file."""

    name: str
    config: str
    command: Sequence[str]
    version: Sequence[str]

    @property
    def found(self) -> str:
        """Its version; raises NotRun."""
        if shutil.which(self.command[0]) is None:
            raise NotRun(f"{self.command[0]} is not installed")
        return _version(self.version)


REVERSE_PROXIES = (
    Proxy("nginx", "nginx.conf", ["nginx", "-c", "{config}"], ["nginx", "-v"]),
    Proxy("Caddy", "Caddyfile", ["caddy", "run", "--config", "{config}", "--adapter", "caddyfile"],
          ["caddy", "version"]),
    Proxy("HAProxy", "haproxy.cfg", ["haproxy", "-db", "-f", "{config}"], ["haproxy", "-v"]),
    Proxy("Apache", "apache.conf", ["apache2", "-D", "FOREGROUND", "-f", "{config}"], ["apache2", "-v"]),
)  # fmt: skip


def run(found: Found, case: str, url: str, file: Path, model: str, timeout_s: float) -> tuple[int, str]:
    """The status that the client saw (CANNOT if it has no such request, 0 where it failed), and what it printed."""
    environment = os.environ | dict(found.environment) | {"MODEL": model}
    try:
        done = subprocess.run(
            [*found.command, case, url, str(file)],
            check=False, capture_output=True, text=True, env=environment, timeout=timeout_s,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return 0, f"no answer within {timeout_s:g} s"
    if done.returncode == CANNOT:
        return CANNOT, ""
    body, _, status = done.stdout.rstrip().rpartition("\n")
    return (int(status), body) if status.isdigit() else (0, (done.stderr or done.stdout).strip())
