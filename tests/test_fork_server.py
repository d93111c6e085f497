"""A forked appliance is as one that is started: its arguments, environment, output, signals, exit code and end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from benchmarks.host.processes import wait_until_ended
from benchmarks.host.server_process import ServerError
from tests.support.appliances.servers import appliance
from tests.support.forks.forked import ForkedProcess, ForkServer, fork, run
from tests.support.models.bundles import write_bundle

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has process file descriptors")

TELLS = [sys.executable, "-m", "tests.support.forks.tells"]


def told(folder: Path, *arguments: str, **environment: str) -> tuple[subprocess.Popen[bytes], str]:
    with (folder / "log").open("wb") as output:
        process = fork([*TELLS, *arguments], os.environ | environment, output, None)
    process.wait(timeout=60)
    return process, (folder / "log").read_text()


def test_a_fork_has_its_own_arguments_environment_output_and_session(tmp_path: Path):
    process, said = told(tmp_path, "3", "more", DANDELION_TEST="here")
    assert isinstance(process, ForkedProcess)
    assert process.returncode == 3
    module = Path(__file__).parent / "support/forks/tells.py"
    assert said.splitlines() == [
        f"name=__main__ arguments={[str(module), '3', 'more']}",
        f"variable=here telemetry=1 pid={process.pid} session={process.pid} group={process.pid}",
        "input=b'' threads=1 sigterm=0",
        "at exit",
    ]


def test_a_fork_that_raises_ends_with_1_and_its_traceback(tmp_path: Path):
    process, said = told(tmp_path, "raise")
    assert process.returncode == 1
    assert said.splitlines()[-2:] == ["ValueError: raise", "at exit"]


def test_what_is_run_to_its_end_has_its_output_and_its_errors_apart():
    done = run("tests.support.forks.tells", "raise")
    assert (done.returncode, done.stdout) == (1, "at exit\n")
    assert done.stderr.splitlines()[-1] == "ValueError: raise"


def test_where_the_interpreter_would_differ_a_process_is_started_from_scratch(tmp_path: Path):
    process, said = told(tmp_path, "0", PYTHONUNBUFFERED="no", OPENBLAS_NUM_THREADS="7")
    assert not isinstance(process, ForkedProcess)
    assert "name=__main__" in said


def test_a_forked_appliance_answers_ends_with_0_when_asked_and_can_be_killed(tmp_path: Path):
    bundle = str(write_bundle(tmp_path / "v1"))
    for end, code in ((signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)):
        with appliance(tmp_path, "--bundle", bundle, from_scratch=False) as running:
            assert isinstance(running.process, ForkedProcess)
            assert httpx.get(running.url + "/health").json()["status"] == "ok"
            with pytest.raises(subprocess.TimeoutExpired):
                running.process.wait(timeout=0.01)
            running.process.send_signal(end)
            assert running.process.wait() == code
            assert not psutil.pid_exists(running.process.pid)
            assert not running.alive
            running.process.kill()  # as Popen does, it leaves alone whoever has that number by now


def test_a_page_is_forked_from_a_process_that_has_imported_pages(tmp_path: Path):
    bundle = str(write_bundle(tmp_path / "v1"))
    with appliance(tmp_path, "--bundle", bundle, module=("ui",), from_scratch=False) as running:
        assert isinstance(running.process, ForkedProcess)
        assert "x-nicegui-content" in httpx.get(running.url + "/").headers


def test_an_appliance_that_does_not_start_says_why(tmp_path: Path):
    with (
        pytest.raises(ServerError, match=r"ended with 2: .*no such|ended with 2: .*does not exist"),
        appliance(tmp_path, "--bundle", "/nowhere", from_scratch=False),
    ):
        pass


def test_forks_end_with_their_server_and_the_server_with_who_runs_the_tests(tmp_path: Path):
    for end in (ForkServer.stop, lambda server: server.process.kill()):
        server = ForkServer()
        with (tmp_path / "log").open("wb") as output:
            pid = server.fork("tests.support.forks.tells", ["sleep"], os.environ, output)
        end(server)
        server.stop()
        assert wait_until_ended([pid], 60) == []
    code = (
        "import os, signal; from tests.support.forks.forked import ForkServer; server = ForkServer()\n"
        "print(server.process.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    pid = int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).stdout)
    assert wait_until_ended([pid], 60) == []
