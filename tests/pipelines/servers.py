"""The real servers of a pipeline: PostgreSQL, MLflow, Airflow."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support.appliances.servers import free_port, free_ports
from tests.support.suite.system_packages import needs
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PASSWORD = "a-password-of-the-tests"

needs_postgres = needs("postgresql")


@contextmanager
def process(command: list[Any], folder: Path, name: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server with all that it starts, killed at the end; its output is in `folder`/<name>.log."""
    with (folder / f"{name}.log").open("ab") as log:
        running = subprocess.Popen(
            [str(word) for word in command],
            env=os.environ | environment,
            stdout=log,
            stderr=log,
            cwd=folder,
            start_new_session=True,
        )
    try:
        yield running
    finally:
        os.killpg(running.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            running.wait(60)
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()


@contextmanager
def postgres(folder: Path) -> Iterator[Callable[[str], str]]:
    """PostgreSQL as the stack has it, with its databases; yields a function from a database's name to its URI."""
    tools = max(Path("/usr/lib/postgresql").glob("*/bin"))
    data, port = Path("/tmp") / f"dandelion-postgres-{os.getpid()}", free_port()  # noqa: S108 - its user must reach it
    user: list[str] = []
    data.mkdir(mode=0o700)
    if os.geteuid() == 0:  # it refuses to be run by root
        owner = pwd.getpwnam("postgres")
        os.chown(data, owner.pw_uid, owner.pw_gid)
        user = ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]
    made = [*user, str(tools / "initdb"), "-D", str(data), "-U", "postgres", "--auth=trust", "-E", "UTF8", "--no-sync"]
    try:
        subprocess.run(made, check=True, capture_output=True, cwd="/")
        options = ["-D", data, "-p", port, "-k", data, "-h", "127.0.0.1", "-F"]
        with process([*user, tools / "postgres", *options], folder, "postgres"):
            ask = [str(tools / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
            wait_until(lambda: subprocess.run(ask).returncode == 0, "PostgreSQL")
            passwords = {"AIRFLOW_DB_PASSWORD": PASSWORD, "MLFLOW_DB_PASSWORD": PASSWORD}
            address = {"PGHOST": "127.0.0.1", "PGPORT": str(port), "PATH": f"{tools}:{os.environ['PATH']}"}
            script = ROOT / "deploy/postgres/databases.sh"
            subprocess.run(["bash", script], check=True, capture_output=True, env=os.environ | passwords | address)
            yield lambda name: f"postgresql+psycopg2://{name}:{PASSWORD}@127.0.0.1:{port}/{name}"
    finally:
        shutil.rmtree(data, ignore_errors=True)


@contextmanager
def mlflow_server(folder: Path, database: str, artifacts: str, **environment: str) -> Iterator[str]:
    """A tracking server that keeps its artefacts in `artifacts`; yields its URL."""
    port = free_port()
    command = [BIN / "mlflow", "server", "--host", "127.0.0.1", "--port", port, "--workers", 1]
    command += ["--backend-store-uri", database, "--artifacts-destination", artifacts]
    settings = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with process(command, folder, "mlflow", **settings | environment):
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(f"{url}/health"), "MLflow")
        yield url


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.TransportError:
        return False


@dataclass
class Airflow:
    """A running Airflow, by its API."""

    url: str
    log: Path

    def ask(self, method: str, path: str, **body: Any) -> httpx.Response:
        return httpx.request(method, f"{self.url}/api/v2/{path}", json=body or None, headers=self._token(), timeout=60)

    def trigger(self, dag: str, run: str, **conf: Any) -> httpx.Response:
        return self.ask("POST", f"dags/{dag}/dagRuns", dag_run_id=run, logical_date=None, conf=conf)

    def unpause(self, dag: str) -> None:
        assert self.ask("PATCH", f"dags/{dag}", is_paused=False).is_success

    def state(self, dag: str, run: str) -> str:
        return str(self.ask("GET", f"dags/{dag}/dagRuns/{run}").json()["state"])

    def finished(self, dag: str, run: str, *, seconds: float = 1500) -> str:
        """The state in which the run ends."""
        return str(
            wait_until(
                lambda: state if (state := self.state(dag, run)) in ("success", "failed") else None,
                f"{dag} {run}",
                seconds=seconds,
                every_s=1,
            )
        )

    def runs(self, dag: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("GET", f"dags/{dag}/dagRuns").json()["dag_runs"]
        return found

    def tasks(self, dag: str, run: str) -> dict[str, str]:
        found = self.ask("GET", f"dags/{dag}/dagRuns/{run}/taskInstances").json()["task_instances"]
        return {f"{one['task_id']}[{one['map_index']}]": one["state"] for one in found}

    def result(self, dag: str, run: str, task: str) -> Any:
        path = f"dags/{dag}/dagRuns/{run}/taskInstances/{task}/xcomEntries/return_value?deserialize=true"
        return self.ask("GET", path).json()["value"]

    def _token(self) -> dict[str, str]:
        answer = httpx.get(f"{self.url}/auth/token", timeout=60).raise_for_status()
        return {"authorization": f"Bearer {answer.json()['access_token']}"}


@contextmanager
def airflow(folder: Path, **environment: str) -> Iterator[Airflow]:
    """What `make airflow` starts, with a home of its own: scheduler, DAG processor, triggerer, API server."""
    port, logs, trigger_logs = free_ports(3)
    settings = {
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW_PORT": str(port),
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(logs),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(trigger_logs),
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
    }
    script = ROOT / "deploy/local/airflow.sh"
    with process([script], folder, "airflow", **(settings | environment)) as started:
        running = Airflow(f"http://127.0.0.1:{port}", folder / "airflow.log")
        health = f"{running.url}/api/v2/monitor/health"
        wait_until(lambda: answers(health) or started.poll() is not None, "Airflow", every_s=1)
        assert started.poll() is None, running.log.read_text()
        yield running
