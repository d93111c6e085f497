from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

import benchmarks.robustness
from benchmarks.__main__ import main
from benchmarks.appliance import appliance
from benchmarks.hostile import attacks, draw_originals, good_request
from benchmarks.robustness import NO_ANSWER, Sample, growth_of
from runtime.commands import Refusal
from runtime.image import FORMATS, ImageSpec, decode
from runtime.image.formats import recognise
from tests.bundles import write_bundle
from tests.waiting import PATIENT


def test_the_appliance_refuses_hostile_requests_and_stays_as_it_was(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "v1", size=64)
    arguments = ["robustness", "--bundle", str(bundle), "--bodies", "600", "--seed", "3", "--out", str(tmp_path)]
    done = CliRunner(env=PATIENT).invoke(main, arguments)
    result = json.loads((tmp_path / "robustness.json").read_text())
    # So few requests do not warm it up: what memory does is for the long run.
    assert [failure for failure in result["failures"] if "memory grew" not in failure] == []
    assert (done.exit_code == 0) == (result["failures"] == [])
    counts = result["answers"]
    assert sum(sum(statuses.values()) for statuses in counts.values()) == 600
    # 503: a request that promises more than memory holds may be in the house at the same time.
    assert set(counts["cut streams"]) <= {NO_ANSWER, "400", "503"}
    assert {"200", "422", "415"} <= set(counts["mutated photos"])
    assert result["memory"][-1]["requests"] == 600
    assert result["stacks_logged"] == 0


def test_the_same_seed_sends_the_same_requests() -> None:
    first, again, other = attacks(1), attacks(1), attacks(2)
    assert [first(number) for number in range(50)] == [again(number) for number in range(50)]
    assert [first(number) for number in range(50)] != [other(number) for number in range(50)]


def test_every_accepted_format_is_damaged() -> None:
    originals = draw_originals()
    assert {recognise(photo) for photo in originals} == set(FORMATS)
    for photo in originals:
        decode(photo, ImageSpec(height=8, width=8))


@contextmanager
def server_that_says(answer: bytes) -> Iterator[int]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            self.request.sendall(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (b"HTTP/1.1 500 Internal Server Error\r\n\r\n", ["request 7 (good photo): status 500"]),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", ["request 7 (good photo): status 502"]),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", []),
        (b"HTTP/1.1 422 Unprocessable Entity\r\n\r\n", []),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", []),
        (b"", ["request 7 (good photo): no answer"]),
    ],
)
def test_an_answer_is_judged(answer: bytes, verdict: list[str]) -> None:
    with server_that_says(answer) as port:
        sent = benchmarks.robustness._send(7, good_request(), port)
    assert benchmarks.robustness._judge(sent) == verdict


def test_one_who_hangs_up_is_owed_no_answer() -> None:
    with server_that_says(b"") as port:
        sent = benchmarks.robustness._send(7, good_request()._replace(answered=False), port)
    assert benchmarks.robustness._judge(sent) == []


def test_an_appliance_that_is_gone_is_a_failure(tmp_path: Path) -> None:
    with appliance(tmp_path, "--bundle", str(write_bundle(tmp_path / "v1", size=64))) as running:
        assert 20 < running.resident_mb() <= running.peak_mb()
        running.process.kill()
        running.process.wait()
        assert benchmarks.robustness._judge_health(running, 5) == ["the appliance ended with -9 after 5 requests"]


def test_an_appliance_that_does_not_start_is_refused_with_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"did not start; it said: .*nowhere"), appliance(tmp_path, "--bundle", "nowhere"):
        pass


@pytest.mark.parametrize(
    ("readings", "growth"),
    [
        ([100] * 30, 0.0),
        ([50, 80, *[100] * 9, *[110] * 20], 0.1),
        ([100] * 10 + [300] + [100] * 20, 0.0),  # one reading is noise
        ([100], 0.0),
    ],
)
def test_growth_is_what_came_after_the_warm_up(readings: list[int], growth: float) -> None:
    memory = [Sample(100 * number, reading) for number, reading in enumerate(readings)]
    assert growth_of(memory) == pytest.approx(growth)
