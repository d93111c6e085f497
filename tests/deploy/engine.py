"""Engines for the tests: the Docker of this machine, started if need be, and others, Podman too, without a network."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.waiting import wait_until

ROOT = Path(__file__).parent.parent.parent
START_S = 60

# The client that comes with the engine: another one, earlier on PATH, may lack BuildKit.
DOCKER = "/usr/bin/docker" if Path("/usr/bin/docker").exists() else "docker"
PACKAGES = ("docker.io", "debootstrap", "iproute2", "iptables", "openssh-client")


@dataclass(frozen=True)
class Engine:
    """An engine, and the commands that reach it."""

    host: str
    within: tuple[str, ...] = ()  # what a command on its host is started with
    client: str = DOCKER

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"DOCKER_HOST": self.host, "ENGINE": self.client}

    def docker(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        command = [*self.within, self.client, *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, input=stdin)
        assert not check or done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def pid(self, container: str) -> int:
        """The process of a container, once it runs: before that the engine says 0, which would be our own group."""
        inspect = ("inspect", "--format", "{{.State.Pid}}", container)
        return int(wait_until(lambda: int(self.docker(*inspect)), f"{container} runs"))

    def run(self, *command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """A command on the engine's host."""
        return subprocess.run(
            [*self.within, *command], env=self.environment | environment, capture_output=True, text=True
        )


@contextmanager
def this_engine(folder: Path) -> Iterator[Engine]:
    """The engine of this machine; started, and stopped afterwards, where none runs."""
    engine = Engine(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"))
    if engine.run(DOCKER, "version").returncode == 0:
        yield engine
        return
    process = start(folder, "/var/run/docker.sock", ())
    try:
        wait_for(engine, folder / "dockerd.log")
        yield engine
    finally:
        process.terminate()
        process.wait(timeout=START_S)


@contextmanager
def no_way_out() -> Iterator[tuple[str, ...]]:
    """A network namespace with the loopback interface alone; yields what a command in it is started with."""
    namespace = f"offline-{uuid.uuid4().hex[:6]}"
    within = ("nsenter", f"--net=/var/run/netns/{namespace}")  # `ip netns exec` would hide the cgroups
    subprocess.run(["ip", "netns", "add", namespace], check=True)
    try:
        subprocess.run([*within, "ip", "link", "set", "lo", "up"], check=True)
        yield within
    finally:
        subprocess.run(["ip", "netns", "delete", namespace], check=True)


@contextmanager
def offline_docker(folder: Path) -> Iterator[Engine]:
    """A Docker engine of its own, without a network."""
    socket = folder / "docker.sock"
    with no_way_out() as within:
        process = start(
            folder,
            str(socket),
            within,
            f"--data-root={folder / 'data'}",
            f"--exec-root={folder / 'exec'}",
            f"--pidfile={folder / 'dockerd.pid'}",
        )
        try:
            engine = Engine(f"unix://{socket}", within)
            wait_for(engine, folder / "dockerd.log")
            yield engine
        finally:
            process.terminate()
            process.wait(timeout=START_S)


@contextmanager
def offline_podman(folder: Path) -> Iterator[Engine]:
    """Podman with a storage of its own, without a network, and with no more than this machine can give."""
    (folder / "containers.conf").write_text(
        '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\n'
        '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
    )
    command = folder / "podman"
    command.write_text(
        f"#!/bin/sh\nexport CONTAINERS_CONF={folder}/containers.conf\n"
        f'exec podman --root {folder}/storage --runroot {folder}/run "$@"\n'
    )
    command.chmod(0o755)
    with no_way_out() as within:
        engine = Engine("", within, str(command))
        try:
            yield engine
        finally:
            engine.run(command, "system", "reset", "--force")


def start(folder: Path, socket: str, within: tuple[str, ...], *options: str) -> subprocess.Popen[bytes]:
    with (folder / "dockerd.log").open("w") as log:
        return subprocess.Popen(
            [*within, "dockerd", f"--host=unix://{socket}", *options], stdout=log, stderr=log, start_new_session=True
        )


def wait_for(engine: Engine, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if engine.run(DOCKER, "version").returncode == 0:
            return
        time.sleep(0.2)
    raise AssertionError(f"dockerd did not start:\n{log.read_text()[-2000:]}")


def build(kind: str, name: str, flavour: str = "standard") -> str:
    """Build one image of this work tree as `make images` does, under another name."""
    done = subprocess.run(
        ["deploy/image.sh", kind],
        cwd=ROOT,
        env=os.environ
        | build_environment()
        | (cpu_torch() if kind == "airflow" else {})
        | {"IMAGE": name, "FLAVOUR": flavour},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return name


def build_environment() -> dict[str, str]:
    """How an image is built on this machine: with a base from packages where there is no registry of images."""
    settings = {"BASE_IMAGE": os.environ.get("BASE_IMAGE", "auto"), "BUILD_NETWORK": "host"}
    if os.environ.get("PIP_CERT"):
        settings["BUILD_CA"] = os.environ["PIP_CERT"]
    return settings


def cpu_torch() -> dict[str, str]:
    """Where this host's pip finds a torch for its own Python, the base is the Debian that carries that Python."""
    for folder in os.environ.get("PIP_FIND_LINKS", "").split():
        fitting = Path(folder).glob(f"torch-*-cp{sys.version_info.major}{sys.version_info.minor}-*.whl")
        if next(fitting, None):
            return {"WHEELS": folder, "SUITE": platform.freedesktop_os_release()["VERSION_CODENAME"]}
    return {}
