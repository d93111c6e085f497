"""Fast path against Litestar routes: a photo of known length takes the one, a chunked photo the other.

Status, body, headers, metrics and logs are the same.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from runtime.api.security.keys import new_key
from runtime.serving.monitoring.metrics import STAGES
from tests.support.appliances.following import metric
from tests.support.appliances.servers import Appliance, appliance
from tests.support.models.bundles import write_bundle
from tests.support.photos import photo
from tests.support.pictures.large_photos import flat_jpeg

KEY, ENTRY = new_key()
ADMIN_KEY, ADMIN_ENTRY = new_key()
LIMITS = {"DANDELION_MAX_UPLOAD_MB": "1", "DANDELION_MAX_MEGAPIXELS": "2"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    folder = tmp_path_factory.mktemp("fast")
    with appliance(folder, "--bundle", str(write_bundle(folder / "v7")), **LIMITS) as running:
        yield running
        assert "Traceback" not in running.log.read_text()


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    folder = tmp_path_factory.mktemp("locked")
    keys = {"DANDELION_API_KEYS": ENTRY, "DANDELION_ADMIN_KEYS": ADMIN_ENTRY}
    with appliance(folder, "--bundle", str(write_bundle(folder / "v7")), **keys) as running:
        yield running


def in_chunks(body: bytes) -> Iterator[bytes]:
    yield body


def both_ways(server: Appliance, body: bytes, **headers: str) -> tuple[httpx.Response, httpx.Response]:
    """The answers of the fast path and of the routes."""
    headers = {"content-type": "image/jpeg"} | headers
    url = server.url + "/predict"
    return httpx.post(url, content=body, headers=headers), httpx.post(url, content=in_chunks(body), headers=headers)


def told(answer: httpx.Response) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Status, body and headers, without what differs from request to request."""
    body = {key: value for key, value in answer.json().items() if key != "timings_ms"}
    passing = {"connection", "content-length", "date", "x-request-id"}
    return answer.status_code, body, {key: value for key, value in answer.headers.items() if key not in passing}


def test_a_photo_is_answered_as_by_the_routes(server: Appliance) -> None:
    for label in ("dandelion", "grass"):
        fast, routed = both_ways(server, photo(label))
        assert told(fast) == told(routed)
        assert (fast.status_code, fast.json()["label"]) == (200, label)
        assert fast.json()["timings_ms"].keys() == routed.json()["timings_ms"].keys()
        assert len(fast.headers["x-request-id"]) == len(routed.headers["x-request-id"]) == 32


def test_a_request_keeps_its_id(server: Appliance) -> None:
    for answer in both_ways(server, photo(), **{"x-request-id": "kiosk-7"}):
        assert answer.headers["x-request-id"] == "kiosk-7"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (413, flat_jpeg(2000, 1001)),
        (413, bytes((1 << 20) + 1)),
        (415, b"no photo"),
        (415, b""),
        (422, photo()[:700]),
    ],
    ids=["many pixels", "many bytes", "no photo", "empty", "cut"],
)
def test_what_is_no_good_is_refused_as_by_the_routes(server: Appliance, status: int, body: bytes) -> None:
    fast, routed = both_ways(server, body)
    assert told(fast) == told(routed)
    assert fast.status_code == status
    assert fast.json().keys() - {"code", "values"} == {"status_code", "detail"}


FORM = "multipart/form-data; boundary=x"
FILE = b'name="file"; filename="a.jpg"\r\nContent-Type: image/jpeg'


def parts(*sections: tuple[bytes, bytes]) -> bytes:
    return b"".join(b"--x\r\nContent-Disposition: form-data; " + head + b"\r\n\r\n" + body + b"\r\n"
                    for head, body in sections) + b"--x--\r\n"  # fmt: skip


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (200, FORM, parts((FILE, photo()))),
        (200, 'Multipart/Form-Data; Boundary="x"', parts((FILE, photo()))),
        (200, FORM, b"preamble\r\n" + parts((FILE, photo())) + b"epilogue"),
        (200, FORM, parts((b'name="note"', b"of a meadow"), (FILE, photo()), (FILE, b"another"))),
        (400, FORM, parts((b'name="file"', b"a text"), (FILE, photo()))),
        (400, FORM, parts((b'name="photo"; filename="a"', photo()))),
        (400, FORM, parts((FILE, photo()), (b'name="note"', b"x" * 5000))),
        (400, FORM, parts((FILE, photo()), (b'name="note"\r\nContent-Type: text/plain; charset=odd', b"x"))),
        (400, FORM, parts((FILE, photo()), (b'name="note"', b"\xff"))),
        (400, FORM, parts((b'name="files"', b"a text"), (FILE, photo()))),
        (413, FORM, parts(*[(b'name="note"', b"")] * 1100)),
        (400, FORM, parts((FILE, photo()))[:-30]),
        (400, FORM, b"no form"),
        (400, FORM, b""),
        (400, "multipart/form-data", parts((FILE, photo()))),
        (400, f"multipart/form-data; boundary={'x' * 300}", parts((FILE, photo()))),
        (415, FORM, parts((FILE, b"no photo"))),
        (415, FORM, parts((FILE, b""))),
        (413, FORM, parts((FILE, bytes(1 << 20)))),
        (415, "multipart/mixed; boundary=x", parts((FILE, photo()))),
    ],
)
def test_a_form_is_answered_and_refused_as_by_the_routes(server: Appliance, status: int, kind: str, body: bytes):
    fast, routed = both_ways(server, body, **{"content-type": kind})
    assert told(fast) == told(routed)
    assert fast.status_code == status


def test_a_body_that_is_no_photo_by_its_type_is_left_to_the_routes(server: Appliance) -> None:
    fast, routed = both_ways(server, photo(), **{"content-type": "text/plain"})
    assert told(fast) == told(routed)
    assert fast.status_code == 415


@pytest.mark.parametrize("headers", [{"x-api-key": KEY}, {"authorization": f"Bearer {KEY}"}, {"x-api-key": ADMIN_KEY}])
def test_a_known_key_is_let_in(locked: Appliance, headers: dict[str, str]) -> None:
    assert [answer.status_code for answer in both_ways(locked, photo(), **headers)] == [200, 200]


@pytest.mark.parametrize("headers", [{}, {"x-api-key": "guess"}, {"x-api-key": ENTRY}, {"authorization": KEY}])
def test_anybody_else_is_turned_away_and_counted(locked: Appliance, headers: dict[str, str]) -> None:
    before = metric(locked, "dandelion_rejections_total", reason="key")
    fast, routed = both_ways(locked, photo(), **headers)
    assert told(fast) == told(routed)
    assert fast.status_code == 401
    assert metric(locked, "dandelion_rejections_total", reason="key") == before + 2


def test_it_is_counted_once_like_any_other_request(server: Appliance) -> None:
    counts: list[tuple[str, dict[str, str]]] = [
        ("dandelion_requests_total", {"route": "/predict", "method": "POST", "status": "200"}),
        ("dandelion_request_seconds_count", {"route": "/predict"}),
        ("dandelion_predictions_total", {}),
        ("dandelion_confidence_count", {}),
        *(("dandelion_stage_seconds_count", {"stage": stage}) for stage in STAGES),
    ]
    before = [metric(server, name, **labels) for name, labels in counts]
    for sent in (1, 2, 3):
        httpx.post(server.url + "/predict", content=photo(), headers={"content-type": "image/jpeg"})
        assert [metric(server, name, **labels) for name, labels in counts] == [count + sent for count in before]
    assert metric(server, "dandelion_in_flight") == 1  # this very look


def test_a_refusal_is_counted_under_its_route(server: Appliance) -> None:
    labels = {"route": "/predict", "method": "POST", "status": "422"}
    before = metric(server, "dandelion_requests_total", **labels)
    both_ways(server, photo()[:500])
    assert metric(server, "dandelion_requests_total", **labels) == before + 2
    assert metric(server, "dandelion_in_flight") == 1


def test_the_reading_of_a_form_is_measured_if_it_succeeds(server: Appliance) -> None:
    before = metric(server, "dandelion_stage_seconds_count", stage="read")
    both_ways(server, parts((FILE, b"no photo")), **{"content-type": FORM})
    assert metric(server, "dandelion_stage_seconds_count", stage="read") == before + 2
    both_ways(server, b"no form", **{"content-type": FORM})
    assert metric(server, "dandelion_stage_seconds_count", stage="read") == before + 2


@pytest.mark.parametrize(
    ("path", "framing"),
    [
        ("/predict", "content-type: image/jpeg\r\ncontent-length: 99\r\n\r\nhalf"),
        ("/predict", "content-type: image/jpeg\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
        ("/predict", f"content-type: {FORM}\r\ncontent-length: 99\r\nx-a: 1\r\nx-a: 1\r\n\r\n--x"),
        ("/predict/batch", f"content-type: {FORM}\r\ncontent-length: 99\r\n\r\n--x"),
        ("/explain", "content-type: image/jpeg\r\ncontent-length: 99\r\n\r\nhalf"),
        ("/v2/models/colours/infer", "content-length: 99\r\n\r\n{"),
    ],
    ids=["fast", "chunked", "form", "batch", "explain", "v2"],
)
def test_a_client_that_leaves_while_it_sends_is_no_fault_of_ours(server: Appliance, path: str, framing: str) -> None:
    before = metric(server, "dandelion_rejections_total", reason="client_gone")
    faults = metric(server, "dandelion_requests_total", method="POST", status="500")
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=60) as sock:
        sock.sendall(f"POST {path} HTTP/1.1\r\nhost: x\r\n{framing}".encode())
    deadline = time.monotonic() + 60
    while metric(server, "dandelion_rejections_total", reason="client_gone") == before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert metric(server, "dandelion_rejections_total", reason="client_gone") == before + 1
    assert metric(server, "dandelion_requests_total", method="POST", status="500") == faults


def test_clients_that_leave_while_several_photos_of_theirs_wait_leave_nothing_behind(server: Appliance) -> None:
    """Of such requests uvicorn tells only the last that its client has left."""
    body = photo(size=(700, 500))
    head = f"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: image/jpeg\r\ncontent-length: {len(body)}\r\n\r\n"
    gone = metric(server, "dandelion_rejections_total", reason="client_gone")
    for _ in range(10):
        socks = [
            socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=60) for _ in "12345678"
        ]
        for sock in socks:
            sock.sendall(4 * (head.encode() + body))
        for sock in socks:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset it
            sock.close()
    deadline = time.monotonic() + 60
    while metric(server, "dandelion_in_flight") > 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert metric(server, "dandelion_in_flight") == 1
    assert metric(server, "dandelion_queue_depth") == 0
    assert metric(server, "dandelion_rejections_total", reason="client_gone") > gone


def raw_answer(sock: socket.socket, body: bytes) -> tuple[bytes, bytes]:
    head = f"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: image/jpeg\r\ncontent-length: {len(body)}\r\n\r\n"
    sock.sendall(head.encode() + body)
    received = b""
    while b"\r\n\r\n" not in received:
        received += sock.recv(65536)
    head_of_answer, _, rest = received.partition(b"\r\n\r\n")
    length = int(re.search(rb"content-length: (\d+)", head_of_answer)[1])  # type: ignore[index]
    while len(rest) < length:
        rest += sock.recv(65536)
    return head_of_answer, rest


def test_a_lone_client_on_one_connection_is_answered_time_and_again(server: Appliance) -> None:
    port = int(server.url.rpartition(":")[2])
    before = metric(server, "dandelion_predictions_total")
    with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
        for turn in range(120):  # after some dozens it is known to be short, unless this host is slow
            label = ("dandelion", "grass")[turn % 2]
            head, body = raw_answer(sock, photo(label))
            assert head.startswith(b"HTTP/1.1 200")
            assert json.loads(body)["label"] == label
            if turn % 10 == 0:
                refusal, detail = raw_answer(sock, photo()[:600])
                assert refusal.startswith(b"HTTP/1.1 422"), detail
    assert metric(server, "dandelion_predictions_total") == before + 120
    assert metric(server, "dandelion_in_flight") == 1
