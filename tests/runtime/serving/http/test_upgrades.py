"""HTTP upgrade: an offer that is not taken is ignored (RFC 9110, 7.8)."""

from __future__ import annotations

import pytest

from runtime.serving.http.upgrade import head_without_offer, offers_websocket
from tests.support.appliances.servers import Appliance
from tests.support.photos import photo
from tests.support.web.wire import Reader, chunked, connect, form, request

H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")
OFFERS = {
    "h2c": H2C,
    "websocket": ("Connection: upgrade", "Upgrade: websocket"),
    "tls": ("Connection: Upgrade", "Upgrade: TLS/1.0"),
}


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS.keys())
@pytest.mark.parametrize("kind", ["plain", "form", "chunked", "chunked form"])
def test_a_request_that_offers_an_upgrade_is_answered_as_any_other(
    server: Appliance, offer: tuple[str, ...], kind: str
) -> None:
    body, content_type = form(photo()) if "form" in kind else (photo(), "Content-Type: image/jpeg")
    length = ()
    if "chunked" in kind:
        body, length = chunked([body[:100], body[100:]]), ("Transfer-Encoding: chunked",)
    with connect(server) as sock:
        reader = Reader(sock)
        for _ in range(3):  # one request, one answer, on the same connection
            sock.sendall(request("/predict", body, content_type, *offer, *length))
            answer = reader.answer()
            assert (answer.status, answer.json["label"]) == (200, "dandelion")


def test_a_body_that_comes_later_is_a_body(server: Appliance) -> None:
    whole = request("/predict", photo(), *H2C)
    with connect(server) as sock:
        for start in range(0, len(whole), 1000):
            sock.sendall(whole[start : start + 1000])
        reader = Reader(sock)
        assert reader.answer().json["label"] == "dandelion"
        sock.sendall(request("/health/live", method="GET"))
        assert reader.answer().status == 200


def test_offers_in_requests_that_wait_behind_others_are_ignored_too(server: Appliance) -> None:
    both = (
        request("/predict", photo("grass")) + request("/predict", photo(), *H2C) + request("/predict", photo("grass"))
    )
    with connect(server) as sock:
        sock.sendall(both)
        reader = Reader(sock)
        assert [reader.answer().json["label"] for _ in range(3)] == ["grass", "dandelion", "grass"]


def test_other_routes_and_refusals_are_as_without_the_offer(server: Appliance) -> None:
    with connect(server) as sock:
        reader = Reader(sock)
        sock.sendall(request("/model", b"", *H2C, method="GET"))
        assert reader.answer().status == 200
        sock.sendall(request("/predict", b"no photo", *H2C))
        assert reader.answer().status == 415
        sock.sendall(request("/nowhere", photo(), *H2C))
        assert reader.answer().status == 404


def test_connect_is_refused(server: Appliance) -> None:
    with connect(server) as sock:
        sock.sendall(b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n")
        assert Reader(sock).answer().status == 400


def test_the_head_keeps_all_but_the_offer() -> None:
    headers = [(b"host", b"x"), (b"connection", b"close, Upgrade"), (b"upgrade", b"h2c"), (b"accept", b"*/*")]
    head = head_without_offer(b"POST", b"/a?b=c", "1.1", headers)
    assert head == b"POST /a?b=c HTTP/1.1\r\nhost: x\r\nconnection: close\r\naccept: */*\r\n\r\n"


@pytest.mark.parametrize(
    ("method", "version", "missing", "asks"),
    [(b"GET", "1.1", b"", True), (b"POST", "1.1", b"", False), (b"GET", "1.0", b"", False)]
    + [(b"GET", "1.1", name, False) for name in (b"connection", b"upgrade", b"sec-websocket-key")],
)
def test_a_websocket_is_asked_for_with_all_that_belongs_to_it(
    method: bytes, version: str, missing: bytes, asks: bool
) -> None:
    headers = {b"connection": b"keep-alive, Upgrade", b"upgrade": b"WebSocket", b"sec-websocket-key": b"x"}
    headers.pop(missing, None)
    assert offers_websocket(method, version, headers.items()) == asks
