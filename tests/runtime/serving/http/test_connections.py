"""Heads and connections: deadlines, sizes, and the cap on open connections."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack

import httpx
import pytest

from runtime.serving.http import connections
from runtime.serving.http.connections import Connections
from runtime.serving.http.protocol import MAX_HEAD_BYTES, MAX_HEADERS, MAX_PIPELINED
from runtime.serving.monitoring.metrics import Metrics
from tests.support.appliances.following import metric
from tests.support.appliances.servers import Appliance
from tests.support.clock import Clock
from tests.support.photos import photo
from tests.support.web.wire import Answer, Reader, connect, request

REFUSED = "dandelion_connections_refused_total"
LONG = b"x-long: " + b"a" * MAX_HEAD_BYTES
MANY = b"\r\n".join(b"x-%d: 1" % i for i in range(MAX_HEADERS + 1))
GET = b"GET /health/live HTTP/1.1\r\nhost: x\r\n"
CHUNKED = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: image/jpeg\r\ntransfer-encoding: chunked\r\n\r\n"


def refusal(server: Appliance, sent: bytes) -> Answer:
    with connect(server) as sock:
        sock.sendall(sent)
        return Reader(sock).answer()


@pytest.mark.parametrize(
    "sent",
    [
        GET + LONG,
        GET + LONG + b"\r\n\r\n",
        GET + LONG + b"\r\n\r\n" + bytes(3 * MAX_HEAD_BYTES),
        GET + MANY + b"\r\n\r\n",
        b"GET /" + b"a" * 2 * MAX_HEAD_BYTES + b" HTTP/1.1\r\n\r\n",
        b"\r\n" * MAX_HEAD_BYTES,
    ],
    ids=["a line without end", "a long line", "a long line and more", "many lines", "a long path", "empty lines"],
)
def test_a_head_that_is_too_large_is_431(server: Appliance, sent: bytes) -> None:
    before = metric(server, REFUSED, limit="head_size")
    answer = refusal(server, sent)
    assert answer.status == 431
    assert answer.json["detail"].endswith(f"more than {MAX_HEADERS} headers, 64 KiB together; send fewer")
    assert metric(server, REFUSED, limit="head_size") == before + 1


@pytest.mark.parametrize(
    "trailer",
    [b"0\r\n" + 3 * LONG, b"0\r\n" + 3 * LONG + b"\r\n\r\n", b"5;x=" + bytes(b"a" * 3 * MAX_HEAD_BYTES)],
    ids=["endless", "long", "extension"],
)
def test_what_frames_a_body_is_bounded_as_heads_are(server: Appliance, trailer: bytes) -> None:
    assert refusal(server, CHUNKED + trailer).status == 431


def test_the_largest_head_is_taken_with_a_body_behind_it_in_one_piece(server: Appliance) -> None:
    long = f"x-long: {'a' * (MAX_HEAD_BYTES - 400)}"
    answer = refusal(server, request("/predict", photo(), long))
    assert (answer.status, answer.json["label"]) == (200, "dandelion")
    assert refusal(server, request("/predict", bytes(2 * 2**20), long)).status == 415


def test_trailers_become_no_headers(server: Appliance) -> None:
    body = b"%x\r\n%s\r\n0\r\nx-request-id: trailer\r\n\r\n" % (len(photo()), photo())
    answer = refusal(server, CHUNKED + body)
    assert answer.status == 200
    assert answer.headers["x-request-id"] != "trailer"


def test_half_a_head_is_408_when_its_time_is_up_and_silence_is_closed(server: Appliance) -> None:
    before = metric(server, REFUSED, limit="head_timeout")
    with connect(server) as half, connect(server) as silent:
        half.sendall(GET)
        answer = Reader(half).answer()
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        assert Reader(silent).ends()
    assert metric(server, REFUSED, limit="head_timeout") == before + 1
    assert "the head of a request did not arrive in time (logged at most once a minute)" in server.log.read_text()


def test_half_a_head_on_a_kept_connection_has_the_same_deadline(server: Appliance) -> None:
    with connect(server) as sock:
        reader = Reader(sock)
        sock.sendall(GET + b"\r\n")
        assert reader.answer().status == 200
        sock.sendall(GET)
        assert reader.answer().status == 408


def test_beyond_the_cap_the_oldest_idle_connection_is_closed_and_health_is_answered(server: Appliance) -> None:
    before = metric(server, REFUSED, limit="connections")
    with ExitStack() as stack:
        kept = stack.enter_context(connect(server))
        kept.sendall(GET + b"\r\n")
        assert Reader(kept).answer().status == 200
        silent = []
        for _ in range(100):
            silent.append(stack.enter_context(connect(server)))
            if len(silent) % 10 == 0:
                assert httpx.get(f"{server.url}/health/live").status_code == 200
        assert silent[0].recv(1) == b""
        kept.sendall(GET + b"\r\n")  # whoever has sent a request goes last
        assert Reader(kept).answer().status == 200
    assert metric(server, REFUSED, limit="connections") > before
    assert "24 connections are open; the oldest idle one is closed" in server.log.read_text()


def test_more_requests_at_once_than_are_queued_end_the_connection_after_their_answers(server: Appliance) -> None:
    with connect(server) as sock:
        sock.sendall((GET + b"\r\n") * (MAX_PIPELINED + 20))
        reader = Reader(sock)
        answered = len(list(iter(lambda: status_or_end(reader), None)))
        assert MAX_PIPELINED <= answered < MAX_PIPELINED + 20


def status_or_end(reader: Reader) -> int | None:
    try:
        return reader.answer().status
    except EOFError:
        return None


class Stub:
    """A connection that notes what becomes of it."""

    def __init__(self) -> None:
        self.became: list[str] = []

    def expire(self) -> None:
        self.became.append("expired")

    def drop(self) -> None:
        self.became.append("dropped")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limits(clock: Clock) -> Connections:
    return Connections(Metrics(), most=3, head_s=10, clock=clock)


def test_each_state_has_its_deadline(limits: Connections, clock: Clock) -> None:
    new, idle, lingering, stalled, busy = (Stub() for _ in range(5))
    for each in (new, idle, lingering, stalled, busy):
        limits.opened(each, ())
    for each in (idle, lingering, stalled, busy):
        limits.request_begun(each)
    limits.response_complete(idle)
    limits.lingers(lingering)
    limits.stalls(stalled, 1)
    ends = {10: new, connections.LINGER_S: lingering, connections.STALL_S: stalled, connections.KEEP_ALIVE_S: idle}
    for seconds, each in ends.items():
        clock.now = seconds - 0.1
        limits.sweep()
        assert each.became == []
        clock.now = seconds
        limits.sweep()
        assert each.became == ["expired"]
    clock.now = 10_000
    limits.sweep()
    assert busy.became == []


def test_a_head_that_drips_is_not_waited_for_longer(limits: Connections, clock: Clock) -> None:
    dripping = Stub()
    limits.opened(dripping, ())
    for second in range(10):
        clock.now = second
        limits.head_arrives(dripping, second)
    clock.now = 10
    limits.sweep()
    assert dripping.became == ["expired"]


def test_all_unfinished_heads_together_are_bounded(limits: Connections) -> None:
    small, large = Stub(), Stub()
    limits.head_arrives(small, 1)
    limits.head_arrives(large, connections.HEADS_BYTES)
    assert (small.became, large.became) == ([], ["dropped"])
    limits.head_arrives(Stub(), connections.HEADS_BYTES - 1)
    assert small.became == []


def test_all_unread_answers_together_are_bounded(limits: Connections) -> None:
    oldest, reads, newest = Stub(), Stub(), Stub()
    limits.stalls(oldest, 1000)
    limits.stalls(reads, connections.UNREAD_BYTES - 1000)
    assert oldest.became == []
    limits.resumes(reads)
    limits.stalls(newest, connections.UNREAD_BYTES)
    assert (oldest.became, reads.became, newest.became) == (["dropped"], [], [])


def test_where_all_are_busy_the_slowest_upload_goes_else_the_newcomer(clock: Clock) -> None:
    answers = [True, False]
    limits = Connections(Metrics(), most=0, head_s=10, give_up_slowest=lambda: answers.pop(0), clock=clock)
    first, second = Stub(), Stub()
    limits.opened(first, (first,))
    limits.request_begun(first)
    limits.opened(second, (first, second))
    assert (first.became, second.became, answers) == ([], ["dropped"], [])


def test_the_limit_follows_files_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def limit(files: int | None, memory: int | None) -> int:
        monkeypatch.setattr(connections, "raise_file_limit", lambda: files)
        monkeypatch.setattr(connections, "available_memory", lambda: memory)
        return connections.default_limit()

    assert limit(1024, None) == 768
    assert limit(None, None) == limit(2**20, 2**40) == connections.MOST_CONNECTIONS
    assert limit(1024, 64 * 2**20) == 512
    assert limit(4, 4) == 8


def test_a_client_that_reads_nothing_does_not_stop_others(server: Appliance) -> None:
    with connect(server) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(request("/schema/openapi.json", method="GET") * MAX_PIPELINED)
        assert httpx.get(f"{server.url}/health/live").status_code == 200


DOCUMENT = request("/docs/assets/swagger-ui-bundle.js", method="GET")


def test_a_client_that_reads_late_gets_all_its_answers(server: Appliance) -> None:
    with connect(server) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sock.sendall(DOCUMENT * MAX_PIPELINED + request("/predict", photo()))
        time.sleep(1)  # for the buffers to fill
        reader = Reader(sock)
        sizes = {len(reader.answer().body) for _ in range(MAX_PIPELINED)}
        assert len(sizes) == 1
        assert reader.answer().json["label"] == "dandelion"
