"""A version on trial keeps nobody waiting, and one that does not survive takes nothing with it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from runtime.store import open_store
from tests.support.appliances import servers
from tests.support.appliances.following import ADMIN, Followed, refusals, serving
from tests.support.appliances.servers import Appliance
from tests.support.host.memory_cgroup import memory_cgroup
from tests.support.suite.repeats import thorough_but
from tests.support.waiting import wait_until

SOON_S = 8.0  # on a busy machine, too; a trial may take 120 s


@pytest.fixture
def followed(tmp_path: Path) -> Followed:
    return Followed(open_store(str(tmp_path / "store")), tmp_path)


@contextmanager
def serve(followed: Followed, behaviour: str, **how: Any) -> Iterator[Appliance]:
    with followed.serve(module=("tests.runtime.serving.trial.stand_in_appliance", behaviour), **how) as server:
        yield server


def statuses(server: Appliance) -> dict[str, str]:
    return {row["version"]: row["status"] for row in httpx.get(server.url + "/models").json()["versions"]}


def test_pin_roll_back_and_the_end_do_not_wait_for_a_version_on_trial(followed: Followed):
    followed.publish("v1")
    with serve(followed, "v3:sleeps") as server, httpx.Client(base_url=server.url, headers=ADMIN) as client:
        followed.publish("v2")
        wait_until(lambda: serving(server) == "v2")
        followed.publish("v3")
        wait_until(lambda: statuses(server).get("v3") == "trying")
        assert client.get("/health").json()["status"] == "ok"
        began = time.monotonic()
        assert client.post("/models/rollback").json()["serving"] == "v1"
        assert client.post("/models/pin", json={"version": "v2"}).json()["serving"] == "v2"
        assert client.post("/models/pin", json={"version": None}).json()["pinned"] is None
        assert time.monotonic() - began < SOON_S
        wait_until(lambda: statuses(server).get("v3") == "trying")
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < SOON_S
    assert "Traceback" not in server.log.read_text()


def test_a_version_that_is_asked_for_and_takes_long_is_answered_before_it_is_tried(followed: Followed):
    followed.publish("v1")
    followed.publish("v2")
    with (
        serve(followed, "v1:sleeps", DANDELION_TEST_ANSWER_S="1") as server,
        httpx.Client(base_url=server.url, headers=ADMIN, timeout=60) as client,
    ):
        assert serving(server) == "v2"
        answer = client.post("/models/v1/load")
        assert answer.status_code == 202
        assert {row["version"]: row["status"] for row in answer.json()["versions"]} == {"v1": "trying", "v2": "serving"}
        assert server.stop() == 0


@pytest.mark.parametrize("behaviour", thorough_but(["v2:killed"], ["v2:exits", "v2:killed"]))
def test_a_version_that_does_not_survive_is_refused_and_never_tried_again(followed: Followed, behaviour: str):
    followed.publish("v1")
    with serve(followed, behaviour) as server:
        followed.publish("v2")
        wait_until(lambda: refusals(server) >= 1)
        assert serving(server) == "v1"
        reasons = httpx.get(server.url + "/health").json()["reasons"]
        assert any("v2 was refused: it did not survive its trial" in reason for reason in reasons)
        assert statuses(server)["v2"] == "refused"
    with serve(followed, "passes") as server:
        wait_until(lambda: refusals(server) >= 1)
        assert serving(server) == "v1"
        assert httpx.post(server.url + "/models/v2/load", headers=ADMIN, timeout=60).json()["serving"] == "v2"
        assert httpx.get(server.url + "/health").json()["reasons"] == []


def test_a_version_that_needs_more_memory_than_there_is_ends_in_its_trial(followed: Followed):
    followed.publish("v1")
    limit = 400 * 2**20
    behaviour = f"v2:allocates={8 * 2**30}"
    with memory_cgroup(limit) as group, serve(followed, behaviour, from_scratch=True) as server:
        (group.folder / "cgroup.procs").write_text(str(server.process.pid))
        followed.publish("v2")
        wait_until(lambda: refusals(server) >= 1)
        assert serving(server) != "v2"
        assert group.kills == 0
        assert server.process.poll() is None
        server.stop()


def test_at_the_first_start_a_version_that_does_not_survive_leaves_the_default(followed: Followed):
    followed.publish("v1")
    with serve(followed, "exits") as server:
        assert serving(server) != "v1"
        assert "v1 was refused" in httpx.get(server.url + "/health").json()["reasons"][0]


def test_a_start_that_waits_for_a_trial_is_ended_by_sigterm(followed: Followed):
    followed.publish("v1")
    folders = ["--models", followed.store.uri, "--cache", str(followed.folder / "cache")]
    command = [
        sys.executable,
        "-m",
        "tests.runtime.serving.trial.stand_in_appliance",
        "sleeps",
        "--port",
        "0",
        *folders,
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    wait_until(lambda: children.read_text().split())
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    process.communicate(timeout=servers.START_S)
    assert process.returncode == 0
    assert time.monotonic() - began < SOON_S
