from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

import benchmarks.contenders.servers
from benchmarks.contenders.servers import Recipe, appliance, serving
from benchmarks.host.processes import tree
from benchmarks.host.server_process import ServerError
from tests.support.models.bundles import write_bundle
from tests.support.waiting import wait_until

PROGRAM = """
import subprocess, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Ready(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/ready" else 404)
        self.end_headers()
    def log_message(self, *_): pass
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
HTTPServer(("127.0.0.1", int(sys.argv[1])), Ready).serve_forever()
"""


def recipe(program: str = PROGRAM, ready: str = "/ready") -> Recipe:
    return Recipe("small", (sys.executable, "-c", program, "{port}"), ready, {})


def test_a_server_is_started_watched_and_stopped_with_all_its_children():
    with serving(recipe()) as server:
        assert server.start_s > 0
        assert server.processes() == 2
        assert server.resident_bytes() > 5_000_000
        assert server.cpu_s() > 0
        pids = tree(server.pid)
    assert [pid for pid in pids if tree(pid)] == []


def test_one_that_ends_is_refused_with_its_last_words():
    with (
        pytest.raises(ServerError, match=r"^small: the server ended with 3: no such model$"),
        serving(recipe("import sys; print('no such model', file=sys.stderr); sys.exit(3)")),
    ):
        pass


def test_one_that_is_never_ready_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(benchmarks.contenders.servers, "START_S", 0.5)
    with (
        pytest.raises(ServerError, match=r"^small: the server was not ready within 0.5 s"),
        serving(recipe(ready="/nowhere")),
    ):
        pass


def test_one_that_ignores_the_request_to_stop_is_killed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(benchmarks.contenders.servers, "STOP_S", 0.2)
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + PROGRAM
    began = time.monotonic()
    with serving(recipe(stubborn)) as server:
        pass
    assert tree(server.pid) == []
    assert time.monotonic() - began < 20


def test_the_work_of_workers_that_nobody_waited_for_is_our_own(tmp_path: Path):
    busy = "import time\nuntil = time.process_time() + 1\nwhile time.process_time() < until: pass\ntime.sleep(600)"
    program = PROGRAM.replace("import time; time.sleep(600)", busy.replace("\n", "\\n"))
    before = os.times().children_user + os.times().children_system
    with serving(recipe(program)) as server:
        wait_until(lambda: server.cpu_s() >= 1, "the worker has worked")
    assert os.times().children_user + os.times().children_system - before >= 0.9


def test_one_that_ends_under_measurement_is_told():
    ending = "self.end_headers(); threading.Timer(1.5, os._exit, [1]).start()"  # from its first answer on
    program = "import threading, os\n" + PROGRAM.replace("self.end_headers()", ending)
    with serving(recipe(program)) as server:
        wait_until(lambda: not tree(server.pid), "the server has ended")
        with pytest.raises(ServerError, match="ended while it was measured"):
            server.cpu_s()


def test_the_appliance_of_this_checkout_serves_the_bundle(tmp_path: Path):
    with serving(appliance(write_bundle(tmp_path / "v1"))) as server:
        assert server.resident_bytes() > 20_000_000
