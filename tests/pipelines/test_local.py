"""`make airflow` and `make pipeline` end all that they started, and close what was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.support.appliances.servers import free_port
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
SUPERVISE = ROOT / "deploy/local/supervise.py"

# Like Airflow's own: one in a session of its own, one that is deaf to polite requests, and one whose parent has ended.
STAND_IN = """
import os, signal, subprocess, sys, time
deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.signal(signal.SIGINT, signal.SIG_IGN); print(1, flush=True); time.sleep(600)  # airflow"
sleep = "import time; time.sleep(600)  # airflow"
subprocess.Popen([sys.executable, "-c", sleep], start_new_session=True)
subprocess.run([sys.executable, "-c", f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {sleep!r}])"])
subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE).stdout.readline()
print("begun", flush=True)
time.sleep(600)
"""  # noqa: E501

# Runs in each state in which a kill may leave one.
RUNS = """
from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
from airflow.utils.timezone import utcnow
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import delete
kinds = {"scheduled": (DagRunTriggeredByType.TIMETABLE, "running"), "by-hand": (DagRunTriggeredByType.TEST, "running"),
         "waiting": (DagRunTriggeredByType.UI, "queued"), "finished": (DagRunTriggeredByType.TEST, "success")}
with create_session() as session:
    session.execute(delete(DagRun))
    for name, (by, state) in kinds.items():
        session.add(DagRun(dag_id="dandelion_data_pipeline", run_id=name, run_type=DagRunType.MANUAL, state=state,
                           run_after=utcnow(), start_date=utcnow(), triggered_by=by))
"""
STATES = """
import json
from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
from sqlalchemy import select
with create_session() as session:
    print(json.dumps({run.run_id: run.state for run in session.scalars(select(DagRun))}))
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An Airflow home with its database, as `make airflow` makes it."""
    home = tmp_path_factory.mktemp("airflow")
    script = f'. "{ROOT}/deploy/local/environment.sh" && migrate && env -0'
    told = {"AIRFLOW_HOME": str(home), "AIRFLOW_PORT": str(free_port()), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(["bash", "-c", script], env=os.environ | told, capture_output=True, check=True)
    pairs = (line.split("=", 1) for line in done.stdout.decode().split("\0") if "=" in line)
    return dict(pairs)


def program(text: str, environment: dict[str, str]) -> str:
    command = [sys.executable, "-c", text]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


@contextmanager
def supervised(
    name: str, environment: dict[str, str], *, text: str = STAND_IN
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A supervisor of the stand-in that has begun, and the file of what is printed."""
    output = Path(environment["AIRFLOW_HOME"], "output.log")
    command = [sys.executable, SUPERVISE, name, sys.executable, "-c", text]
    with output.open("wb") as stdout, subprocess.Popen(command, env=environment, stdout=stdout) as running:
        try:
            wait_until(lambda: "begun" in lines(output), "the stand-in")
            yield running, output
        finally:
            running.terminate()


def lines(output: Path) -> list[str]:
    return [line.strip() for line in output.read_text().splitlines()]


def those_of(session: int, supervisor: psutil.Process | None = None) -> list[psutil.Process]:
    below = supervisor.children(recursive=True) if supervisor else []
    return below + [one for one in psutil.process_iter() if os.getsid(one.pid) == session and one not in below]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_every_process(environment: dict[str, str], number: signal.Signals):
    with supervised("airflow", environment) as (running, output):
        known = json.loads(Path(environment["AIRFLOW_HOME"], "airflow.lock").read_text())
        started = those_of(known["session"], psutil.Process(running.pid))
        assert len(started) >= 4
        running.send_signal(number)
        assert running.wait() == 130
    wait_until(lambda: not any(one.is_running() for one in started), "all have ended")
    said = lines(output)
    assert said[-1] == "ended"
    schedules = ("dandelion_batch_predict", "dandelion_data_pipeline", "dandelion_retrain_pipeline")
    assert [line.split() for line in said if line.startswith("dandelion_")] == [[name, "on"] for name in schedules]


def test_a_second_one_is_refused(environment: dict[str, str]):
    with supervised("airflow", environment) as (running, _):
        command = [sys.executable, SUPERVISE, "airflow", "true"]
        refused = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert refused.returncode == 1
    assert f"airflow runs already (process {running.pid}); end that one first" in refused.stderr


def test_what_a_killed_one_left_is_ended_and_its_runs_are_closed(environment: dict[str, str]):
    with supervised("airflow", environment) as (running, _):
        known = json.loads(Path(environment["AIRFLOW_HOME"], "airflow.lock").read_text())
        program(RUNS, environment)
        apart = [one for one in psutil.Process(running.pid).children(recursive=True) if os.getsid(one.pid) == one.pid]
        running.kill()
        running.wait()
        left = those_of(known["session"])
        assert left
    with supervised("airflow", environment) as (_, output):
        assert f"ending {len(left)} processes that a killed one left" in lines(output)
        assert not any(one.is_running() for one in left)
        closed = [line.split()[2] for line in lines(output) if line.startswith("closed dandelion_data_pipeline")]
        assert sorted(closed) == ["by-hand:", "scheduled:"]
    for one in apart:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    states = json.loads(program(STATES, environment))
    assert states == {"scheduled": "failed", "by-hand": "failed", "waiting": "queued", "finished": "success"}


def test_it_returns_what_the_command_did(environment: dict[str, str]):
    with supervised("pipeline", environment, text="import sys; print('begun'); sys.exit(7)") as (running, _):
        assert running.wait() == 7


@pytest.mark.parametrize("name", ["airflow", "pipeline", "mlflow"])
def test_something_is_printed_at_once(name: str, tmp_path: Path):
    """Before the first program of Python starts, which takes seconds."""
    nothing = tmp_path / "bin"
    nothing.mkdir()
    for program in ("airflow", "python", "mlflow"):
        (nothing / program).write_text("#!/bin/sh\nexit 1\n")
        (nothing / program).chmod(0o755)
    script = (ROOT / f"deploy/local/{name}.sh").read_text()
    folder = tmp_path / "deploy" / "local"
    folder.mkdir(parents=True)
    (folder / "environment.sh").write_text((ROOT / "deploy/local/environment.sh").read_text())
    (folder / f"{name}.sh").write_text(script)
    environment = os.environ | {"PATH": f"{nothing}:/usr/bin:/bin", "AIRFLOW_HOME": str(tmp_path / "home")}
    done = subprocess.run(["bash", folder / f"{name}.sh"], env=environment, capture_output=True, text=True)
    assert done.stdout.startswith(("starting Airflow", "running the pipeline", "starting MLflow")), done.stderr
