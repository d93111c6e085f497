from __future__ import annotations

import random
import re
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.contenders.appliance import appliance
from benchmarks.host.interference import Contention
from benchmarks.measurements.robustness import fuzz
from benchmarks.measurements.robustness.fuzz import NO_ANSWER, FuzzResult, Sample, fuzz_goals
from benchmarks.measurements.robustness.fuzz_corpus import attacks, good_request
from benchmarks.measurements.robustness.fuzz_photos import draw_originals
from benchmarks.measurements.robustness.fuzz_wire import WIRE_KINDS
from benchmarks.statistics.goals import MISSED, verdict
from runtime.errors import Refusal
from runtime.image import FORMATS, ImageSpec, decode
from runtime.image.formats import detect_format
from tests.benchmarks.measurements.robustness.measured import measured
from tests.support.models.bundles import write_bundle


def test_the_appliance_refuses_hostile_requests_and_stays_as_it_was(tmp_path: Path) -> None:
    result = measured(tmp_path, "--figure", "fuzz", "--bodies", "600", "--seed", "3", "--settle", "0", size=64)
    found = result["fuzz"]
    assert (found["failures"], found["deaths"]) == ([], 0)
    counts = found["answers"]
    assert sum(sum(statuses.values()) for statuses in counts.values()) == 600
    # 503: a request that promises more than memory holds may be in the house at the same time.
    assert set(counts["cut streams"]) <= {NO_ANSWER, "400", "503"}
    assert {"200", "422", "415"} <= set(counts["mutated photos"])
    assert set(WIRE_KINDS) <= set(counts)
    assert set(counts["large heads"]) == {"431"}
    assert "200" in counts["upgrades offered"]
    assert [sample["requests"] for sample in (found["warm"], found["end"])] == [300, 600]
    # So few requests do not warm it up: what memory does is for the long run.
    assert [goal["limit"] for goal in result["goals"]] == [0, 0, 1.03]


def test_the_same_seed_sends_the_same_requests() -> None:
    first, again, other = attacks(1), attacks(1), attacks(2)
    assert [first(number) for number in range(50)] == [again(number) for number in range(50)]
    assert [first(number) for number in range(50)] != [other(number) for number in range(50)]


def test_every_accepted_format_is_damaged() -> None:
    originals = draw_originals()
    assert {detect_format(photo) for photo in originals} == set(FORMATS)
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
        sent = fuzz._send(7, good_request(), port)
    assert fuzz._judge(sent) == verdict


def test_one_who_hangs_up_is_owed_no_answer() -> None:
    with server_that_says(b"") as port:
        sent = fuzz._send(7, good_request()._replace(answered=False), port)
    assert fuzz._judge(sent) == []


def test_an_appliance_that_is_gone_is_a_failure(tmp_path: Path) -> None:
    with appliance(tmp_path, "--bundle", str(write_bundle(tmp_path / "v1", size=64))) as running:
        assert 20 < running.resident_mb() <= running.peak_mb()
        running.process.kill()
        running.process.wait()
        assert fuzz._judge_health(running, 5) == ["the appliance ended with -9 after 5 requests"]


def test_an_appliance_that_does_not_start_is_refused_with_its_last_lines(tmp_path: Path) -> None:
    with (
        pytest.raises(Refusal, match=r"the server ended with 2: .*nowhere"),
        appliance(tmp_path, "--bundle", "nowhere"),
    ):
        pass


def test_growth_is_judged_by_memory_at_rest() -> None:
    result = FuzzResult(0, 2000, {}, [], Sample(1000, 100.0), Sample(2000, 104.0), 150.0, 1.0, "", [], 0)
    grown = fuzz_goals(result)[-1]
    assert grown.estimate.value == pytest.approx(1.04)
    assert verdict(grown, Contention(0.0, 2, 2))[0] == MISSED


@pytest.mark.parametrize("kind", WIRE_KINDS)
def test_every_kind_of_framing_is_sent_in_one_piece_and_asks_for_an_answer(kind: str) -> None:
    for seed in range(50):
        request = WIRE_KINDS[kind](random.Random(seed), [b"photo"])  # noqa: S311
        assert re.match(rb"(GET|POST) /\S* HTTP/1\.1\r\n", request)
        assert b"close" in request.lower()
