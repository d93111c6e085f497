from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from benchmarks.load_generator.connection import BROKEN
from benchmarks.load_generator.generator import generator
from benchmarks.load_generator.plans import Closed, Open, Order
from benchmarks.load_generator.raw_requests import form, form_of, kserve_json, post, raw

OK = b'{"timings_ms": {"decode": 1.0, "infer": 2.0}}'
Answer = Callable[[int], bytes]


def response(status: str, body: bytes = b"", *headers: str) -> bytes:
    head = "".join(f"{header}\r\n" for header in (*headers, f"Content-Length: {len(body)}"))
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


@contextmanager
def server(answer: Answer) -> Iterator[int]:
    """A real socket that answers the nth request with `answer(n)`; an empty answer cuts the connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    lock, count = threading.Lock(), [0]

    def talk(connection: socket.socket) -> None:
        held = b""
        with connection:
            while True:
                while b"\r\n\r\n" not in held:
                    data = connection.recv(65536)
                    if not data:
                        return
                    held += data
                head, _, rest = held.partition(b"\r\n\r\n")
                length = int(re.search(rb"Content-Length: (\d+)", head)[1])
                while len(rest) < length:
                    rest += connection.recv(65536)
                held = rest[length:]
                with lock:
                    count[0] += 1
                    number = count[0]
                said = answer(number)
                if not said:
                    return
                connection.sendall(said)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=[connection], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


REQUESTS = [raw("/predict")(b"a" * 10), raw("/predict")(b"b" * 20_000)]


@pytest.fixture(scope="module")
def send():
    with generator() as sending:
        yield sending


def test_a_closed_loop_sends_so_many_requests_and_keeps_what_the_server_says(send):
    with server(lambda _: response("200 OK", OK)) as port:
        burst = send(Order(port, REQUESTS, Closed(3, 30, requests=12), first=1))
    assert burst.statuses() == {"200": 12}
    assert sorted(burst.kind) == [0] * 6 + [1] * 6
    assert burst.kind[0] in {0, 1}
    assert burst.stages_ms == {"decode": [1.0] * 12, "infer": [2.0] * 12}
    assert burst.window_s == burst.seconds < 30
    assert burst.rate_per_s > 0
    assert burst.cpu_s > 0
    assert min(burst.latency_ms) > 0


def test_a_closed_loop_ends_with_its_time(send):
    with server(lambda _: response("200 OK", OK)) as port:
        burst = send(Order(port, REQUESTS, Closed(2, 0.3)))
    assert 0.25 < burst.seconds < 5
    assert burst.window_s == 0.3


def test_refusals_are_no_photos_and_retry_after_is_seen(send):
    def answer(number: int) -> bytes:
        return response("503 Busy", b"{}", "Retry-After: 2") if number % 2 else response("503 Busy", b"{}")

    with server(answer) as port:
        burst = send(Order(port, REQUESTS, Closed(1, 30, requests=4)))
    assert burst.statuses() == {"503": 4}
    assert burst.retry_after == [True, False, True, False]
    assert burst.rate_per_s == burst.answered == 0
    assert burst.stages_ms == {}
    assert burst.accepted_ms == []
    assert burst.quantile_ms(0.5) != burst.quantile_ms(0.5)  # not a number


def test_a_connection_that_is_cut_counts_as_broken_and_the_client_comes_again(send):
    with server(lambda number: b"" if number == 2 else response("200 OK", OK)) as port:
        burst = send(Order(port, REQUESTS, Closed(1, 30, requests=4)))
    assert burst.status == [200, BROKEN, 200, 200]


def test_a_server_that_closes_after_each_answer_is_served_too(send):
    def talk(_: int) -> bytes:
        return response("200 OK", OK, "Connection: close")

    with server(talk) as port:
        burst = send(Order(port, REQUESTS, Closed(2, 30, requests=6)))
    assert burst.statuses() == {"200": 6}


def test_nonsense_for_an_answer_is_broken(send):
    with server(lambda _: b"hello there\r\n\r\n") as port:
        burst = send(Order(port, REQUESTS, Closed(1, 30, requests=2)))
    assert burst.status == [BROKEN, BROKEN]


def test_where_nobody_listens_every_request_is_broken(send):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        burst = send(Order(unused.getsockname()[1], REQUESTS, Closed(2, 30, requests=4)))
    assert burst.status == [BROKEN] * 4


def test_an_answer_that_never_comes_is_given_up(send):
    def never(_: int) -> bytes:
        time.sleep(20)
        return b""

    with server(never) as port:
        burst = send(Order(port, REQUESTS, Closed(1, 1, requests=1), timeout_s=0.3))
    assert burst.status == [BROKEN]
    assert burst.seconds < 15


def test_who_still_waits_for_a_connection_gives_up_too(send):
    def never(_: int) -> bytes:
        time.sleep(20)
        return b""

    with server(never) as port:
        burst = send(Order(port, REQUESTS, Open(100, 0.3, connections=2), timeout_s=0.3))
    assert len(burst.status) > 10
    assert set(burst.status) == {BROKEN}
    assert burst.seconds < 15


def test_a_generator_that_ended_says_so():
    with generator() as sending:
        for _ in range(2):
            with pytest.raises(RuntimeError, match="the load generator ended"):
                sending(Order(1, [], Closed(1, 0.1)))  # nothing to send: it fails


def test_an_open_loop_keeps_its_rate_whatever_the_server_does(send):
    def slow(_: int) -> bytes:
        time.sleep(0.2)
        return response("200 OK", OK)

    with server(slow) as port:
        burst = send(Order(port, REQUESTS, Open(100, 1.0, seed=3)))
    assert 60 < len(burst.status) < 140  # a hundred, give or take four standard deviations
    assert burst.statuses() == {"200": len(burst.status)}
    assert min(burst.latency_ms) >= 195
    assert len(burst.late_ms) == len(burst.status)


def test_a_stall_is_counted_from_the_intended_arrival(send):
    """With one connection every request queues behind the first one: a generator that waits with it would hide that."""

    def stalls(number: int) -> bytes:
        time.sleep(0.8 if number == 1 else 0)
        return response("200 OK", OK)

    with server(stalls) as port:
        burst = send(Order(port, REQUESTS, Open(50, 1.0, connections=1)))
    waited = [ms for ms in burst.latency_ms if ms > 100]
    assert len(waited) > 15  # all that arrived while it stalled
    assert max(burst.latency_ms) > 600


def test_the_same_seed_gives_the_same_arrivals(send):
    with server(lambda _: response("200 OK", OK)) as port:
        one, two, other = (send(Order(port, REQUESTS, Open(60, 0.5, seed=seed))) for seed in (1, 1, 2))
    assert sorted(one.arrived_s) == sorted(two.arrived_s) != sorted(other.arrived_s)


def test_requests_come_from_the_address_that_is_asked_for(send):
    sources = []

    def accept() -> None:
        connection, (source, _) = listener.accept()
        sources.append(source)
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        send(Order(listener.getsockname()[1], REQUESTS, Closed(1, 0.2), timeout_s=0.5, source="127.0.0.2"))
        thread.join()
    assert sources == ["127.0.0.2"]


def test_more_headers_stand_in_the_head():
    head, _, body = raw("/predict", "X-API-Key: k", "Connection: close")(b"photo").partition(b"\r\n\r\n")
    assert head.endswith(b"\r\nX-API-Key: k\r\nConnection: close")
    assert body == b"photo"


def test_requests_are_whole_http():
    for request, content_type in (
        (raw("/predict")(b"photo"), b"image/jpeg"),
        (form("/predict")(b"photo"), b"multipart/form-data; boundary="),
        (form_of("/predict/batch", [b"photo", b"other"], "files"), b"multipart/form-data; boundary="),
        (kserve_json("/v2/models/m/infer")(b"photo"), b"application/json"),
        (post("/x", "text/plain", b""), b"text/plain"),
    ):
        head, _, body = request.partition(b"\r\n\r\n")
        assert head.startswith(b"POST /")
        assert b"Content-Type: " + content_type in head
        assert f"Content-Length: {len(body)}".encode() in head
