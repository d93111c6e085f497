"""Closing: early refusals reach their clients (lingering close); a client that closes its sending side is answered."""

from __future__ import annotations

import socket
import struct
import urllib.error
import urllib.request

import pytest

from tests.support.appliances.following import metric
from tests.support.appliances.servers import Appliance
from tests.support.photos import photo
from tests.support.waiting import wait_until
from tests.support.web.wire import Reader, connect, form, request

MEGABYTES = 2 * 2**20
REFUSALS = {
    404: request("/nowhere", bytes(MEGABYTES)),
    413: request("/predict", bytes(64), "Content-Length: 900000000"),
    415: request("/predict", bytes(MEGABYTES), "Content-Type: text/plain"),
    405: request("/health", bytes(MEGABYTES), method="DELETE"),
}


@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.parametrize("connection", ["Connection: close", "Connection: keep-alive", "Expect: 100-continue"])
def test_a_client_that_sends_all_before_it_reads_gets_the_refusal(
    server: Appliance, status: int, connection: str
) -> None:
    whole = REFUSALS[status].replace(b"Host: x\r\n", b"Host: x\r\n" + connection.encode() + b"\r\n")
    for _ in range(10):
        with connect(server) as sock:
            sock.sendall(whole)
            reader = Reader(sock)
            answer = reader.answer()
            assert answer.status == status
            assert answer.headers["connection"] == "close"
            sock.shutdown(socket.SHUT_WR)
            assert reader.ends()


def test_pythons_own_client_gets_it_too(server: Appliance) -> None:
    headers = {"Content-Type": "text/plain"}
    asked = urllib.request.Request(f"{server.url}/predict", bytes(MEGABYTES), headers)  # noqa: S310
    for _ in range(10):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(asked, timeout=60)  # noqa: S310
        refused.value.close()
        assert refused.value.code == 415


def test_http_1_0_gets_it_too(server: Appliance) -> None:
    with connect(server) as sock:
        sock.sendall(request("/nowhere", bytes(MEGABYTES), version="1.0"))
        assert Reader(sock).answer().status == 404


def test_after_the_refusal_of_a_short_body_the_connection_is_kept(server: Appliance) -> None:
    with connect(server) as sock:
        reader = Reader(sock)
        for _ in range(3):
            head, body = request("/nowhere", bytes(20_000)).split(b"\r\n\r\n", 1)
            sock.sendall(head + b"\r\n\r\n")
            answer = reader.answer()
            assert answer.status == 404
            assert "connection" not in answer.headers
            sock.sendall(body)
        sock.sendall(request("/health/live", method="GET"))
        assert reader.answer().status == 200


@pytest.mark.parametrize("kind", ["plain", "form", "slow"])
def test_a_client_that_closes_its_sending_side_is_answered(server: Appliance, kind: str) -> None:
    body, content_type = form(photo()) if kind == "form" else (photo(), "Content-Type: image/jpeg")
    whole = request("/predict", body, content_type)
    with connect(server) as sock:
        if kind == "slow":
            sock.sendall(whole[:-500])
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(whole[-500:])
        else:
            sock.sendall(whole)
        sock.shutdown(socket.SHUT_WR)
        reader = Reader(sock)
        assert reader.answer().status == 200
        assert reader.ends()


def test_all_requests_of_a_half_closed_connection_are_answered(server: Appliance) -> None:
    with connect(server) as sock:
        sock.sendall(request("/predict", photo()) * 3)
        sock.shutdown(socket.SHUT_WR)
        reader = Reader(sock)
        assert [reader.answer().status for _ in range(3)] == [200, 200, 200]
        assert reader.ends()


def test_a_body_that_ends_too_early_is_named(server: Appliance) -> None:
    with connect(server) as sock:
        sock.sendall(request("/predict", photo())[:-10])
        sock.shutdown(socket.SHUT_WR)
        answer = Reader(sock).answer()
        assert answer.status == 400
        assert answer.json["detail"] == "the request ended before its body was complete; send it again"


def test_an_idle_connection_that_is_half_closed_is_closed(server: Appliance) -> None:
    with connect(server) as sock:
        sock.shutdown(socket.SHUT_WR)
        assert Reader(sock).ends()


def test_a_reset_says_that_nobody_is_there(server: Appliance) -> None:
    before = metric(server, "dandelion_rejections_total", reason="client_gone")
    with connect(server) as sock:
        sock.sendall(request("/predict", photo())[:-10])
        wait_until(lambda: metric(server, "dandelion_in_flight") == 2, "the request to begin")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_until(
        lambda: metric(server, "dandelion_rejections_total", reason="client_gone") > before, "the reset to be noticed"
    )


def test_what_is_no_request_is_told_so(server: Appliance) -> None:
    for nonsense in (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"hello\r\n\r\n"):
        with connect(server) as sock:
            sock.sendall(nonsense + bytes(100_000))
            answer = Reader(sock).answer()
            assert (answer.status, answer.headers["content-type"]) == (400, "application/json")


def test_nonsense_behind_a_request_does_not_spoil_its_answer(server: Appliance) -> None:
    with connect(server) as sock:
        sock.sendall(request("/predict", photo()) + b"\x16\x03\x01 nonsense\r\n\r\n")
        reader = Reader(sock)
        assert reader.answer().json["label"] == "dandelion"
