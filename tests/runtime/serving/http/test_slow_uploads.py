"""Slow uploads hold neither memory nor places that others need (slowloris)."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

import httpx

from tests.runtime.serving.http.conftest import SETTINGS
from tests.support.appliances.following import metric
from tests.support.appliances.servers import Appliance, appliance
from tests.support.models.bundles import write_bundle
from tests.support.photos import photo
from tests.support.waiting import wait_until
from tests.support.web.wire import Reader, connect, request

MEGABYTE = 2**20
REJECTIONS = "dandelion_rejections_total"


def begin_upload(server: Appliance, size: int, source: str, *headers: str) -> socket.socket:
    """An upload that promises 3 MB and sends `size` bytes of them."""
    sock = connect(server, source)
    sock.sendall(request("/predict", bytes(size), *headers, f"Content-Length: {3 * MEGABYTE}"))
    return sock


def refusal_of(uploads: list[socket.socket]) -> str:
    """The reason that the first refused upload is given."""
    answers = []
    for sock in uploads:
        sock.settimeout(0.5)
        try:
            answers.append(Reader(sock).answer())
        except TimeoutError:
            continue
    assert all(answer.status == 503 and int(answer.headers["retry-after"]) >= 1 for answer in answers)
    return answers[0].json["detail"] if answers else ""


def test_what_uploads_promise_takes_nothing_from_others(server: Appliance) -> None:
    with ExitStack() as stack:
        for _ in range(7):
            stack.enter_context(begin_upload(server, 9000, "127.0.0.3"))
        for label in ("dandelion", "grass") * 10:
            answer = httpx.post(f"{server.url}/predict", files={"file": photo(label)})
            assert (answer.status_code, answer.json()["label"]) == (200, label)


def test_uploads_that_stop_half_way_are_given_up_for_others(server: Appliance) -> None:
    with ExitStack() as stack:
        stalled = [stack.enter_context(begin_upload(server, MEGABYTE, f"127.0.0.{4 + i}")) for i in range(5)]
        wait_until(lambda: metric(server, "dandelion_in_flight") >= 4, "the uploads to arrive")
        for _ in range(10):
            assert httpx.post(f"{server.url}/predict", files={"file": photo()}).status_code == 200
        assert "try again in" in refusal_of(stalled)
    assert metric(server, REJECTIONS, reason="slow_upload") + metric(server, REJECTIONS, reason="memory") >= 1


def test_one_client_holds_its_share_of_the_memory(server: Appliance) -> None:
    before = metric(server, REJECTIONS, reason="client_memory")
    with ExitStack() as stack:
        greedy = [stack.enter_context(begin_upload(server, MEGABYTE, "127.0.0.9")) for _ in range(3)]
        wait_until(lambda: metric(server, REJECTIONS, reason="client_memory") > before, "the share to be used up")
        assert "try again in" in refusal_of(greedy)
        assert httpx.post(f"{server.url}/predict", files={"file": photo()}).status_code == 200


def test_clients_of_a_trusted_proxy_have_shares_of_their_own(tmp_path: Path) -> None:
    proxied = SETTINGS | {"DANDELION_TRUSTED_PROXIES": "127.0.0.7"}
    with (
        appliance(tmp_path, "--bundle", str(write_bundle(tmp_path / "v7")), **proxied) as server,
        ExitStack() as stack,
    ):
        for client in range(3):
            header = f"X-Forwarded-For: 203.0.113.{client}"
            stack.enter_context(begin_upload(server, MEGABYTE, "127.0.0.7", header))
        wait_until(lambda: metric(server, "dandelion_in_flight") == 4, "three uploads to be under way")
        assert metric(server, REJECTIONS, reason="client_memory") == 0
        for _ in range(2):
            stack.enter_context(begin_upload(server, MEGABYTE, "127.0.0.7", "X-Forwarded-For: 203.0.113.0"))
        wait_until(lambda: metric(server, REJECTIONS, reason="client_memory") >= 1, "the share to be used up")
