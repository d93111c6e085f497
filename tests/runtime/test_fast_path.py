"""A photo of known length goes by the fast path, one in chunks by the routes: nobody may see a difference but time."""

from __future__ import annotations

import asyncio
import gc
import json
import re
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from runtime import engine as engines
from runtime.admission import Line
from runtime.answers import Answer, ModelName, Timings
from runtime.api import connection, fast_path
from runtime.api.fast_path import FastPath
from runtime.api.guard import Patience
from runtime.api.keys import new_key
from runtime.batcher import ClientGone
from runtime.bundle import Bundle
from runtime.engine import Engine
from runtime.image import ImageError, ImageSpec, decode
from runtime.metrics import STAGES, Metrics
from runtime.model import Model
from runtime.settings import Settings
from tests.bundles import write_bundle
from tests.following import metric
from tests.photos import draw_photo, encode, photo
from tests.servers import Appliance, appliance
from tests.waiting import wait_until

KEY, ENTRY = new_key()
ADMIN_KEY, ADMIN_ENTRY = new_key()
HELD, UPLOADS = 128, 150  # of 1 MB each: as many as there is memory for, and more
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
    passing = {"content-length", "date", "x-request-id"}
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
        (413, encode(Image.new("RGB", (2000, 1001)))),
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
    assert fast.json().keys() == {"status_code", "detail"}


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


class Stub:
    """An engine that answers at once, and notes whether it was asked to do so in the event loop."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.line = Line(1, budget_s=1, max_held_bytes=1 << 20)
        self.here: list[bool] = []
        self._failure = failure

    def answer_here(self, _: bytes) -> Answer:
        return self._answer(here=True)

    async def answer(self, *_: object) -> Answer:
        return self._answer(here=False)

    def _answer(self, *, here: bool) -> Answer:
        self.here.append(here)
        if self._failure:
            raise self._failure
        return Answer("dandelion", 1.0, {"dandelion": 1.0}, False, ModelName("m", "1"), Timings(1, 2, 3))


class Connection:
    """uvicorn's side of a request whose body has arrived."""

    disconnected = False

    def __init__(self, *, more_body: bool = False) -> None:
        self.more_body = more_body

    async def receive(self) -> dict[str, object]:
        return {"type": "http.request", "body": b"photo", "more_body": False}


def scope_of(client: object, uvicorns: object = None, **changes: object) -> dict[str, object]:
    headers = [(b"content-type", b"image/jpeg"), (b"content-length", b"5")]
    plain = {"type": "http", "path": "/predict", "method": "POST", "headers": headers, "client": client}
    return plain | {"dandelion.connection": uvicorns or Connection()} | changes


def fast_path_of(engine: Stub | Engine) -> tuple[FastPath, list[dict[str, Any]]]:
    """A fast path, and the scopes of what it passes on."""
    passed: list[dict[str, Any]] = []

    async def app(scope: dict[str, Any], *_: object) -> None:
        passed.append(dict(scope))

    metrics = Metrics()
    around = SimpleNamespace(engine=engine, metrics=metrics, settings=Settings(threads=1, workers=1))
    return FastPath(app, around, Patience(metrics, 30)), passed  # type: ignore[arg-type]


async def send(path: FastPath, scope: dict[str, Any], receive: Any = None) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def keep(message: dict[str, Any]) -> None:
        sent.append(message)

    await path(scope, receive or Connection().receive, keep)  # type: ignore[arg-type]
    return sent


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "websocket"},
        {"path": "/predict/batch"},
        {"method": "GET"},
        {"headers": [(b"content-type", b"image/jpeg")]},
        {"headers": [(b"content-type", b"image/jpeg"), (b"content-length", b"-5")]},
        {"headers": [(b"content-type", b"multipart/form-data"), (b"content-length", b"5")]},
        {"headers": [(b"content-type", b"image/jpeg"), (b"content-length", b"5"), (b"content-type", b"text/plain")]},
        {"headers": [(b"content-type", b"image/jpeg"), (b"content-length", b"99999999")]},
    ],
)
def test_anything_less_plain_is_passed_on_untouched(changes: dict[str, object]) -> None:
    engine = Stub()
    path, passed = fast_path_of(engine)
    scope = scope_of(("1.2.3.4", 5), **changes)
    assert asyncio.run(send(path, scope)) == []
    assert passed == [scope]
    assert engine.here == []


def test_a_client_is_lone_when_no_other_has_sent_a_photo_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(fast_path.time, "perf_counter", lambda: now)
    engine = Stub()
    path, _ = fast_path_of(engine)
    mine, other = ("1.2.3.4", 5), ("1.2.3.4", 6)
    for client, later_s in ((mine, 0), (mine, 0.01), (mine, 0.06), (other, 1), (mine, 0.01), (mine, 0.06), (None, 1)):
        now += later_s
        asyncio.run(send(path, scope_of(client)))
    assert engine.here == [False, False, True, False, False, True, False]


def test_what_goes_wrong_is_told_to_the_route() -> None:
    path, passed = fast_path_of(Stub(RuntimeError("a fault of ours")))
    scope = scope_of(("1.2.3.4", 5))
    before = time.perf_counter()
    assert asyncio.run(send(path, scope)) == []
    after = time.perf_counter()
    with pytest.raises(RuntimeError, match="a fault of ours"):
        connection.refuse_if_met(passed[0])  # type: ignore[arg-type]
    assert before <= connection.beginning(passed[0]) <= after  # type: ignore[arg-type]
    connection.forget(scope)  # type: ignore[arg-type]
    connection.refuse_if_met(scope)  # type: ignore[arg-type]


def test_a_client_that_leaves_while_it_sends_is_not_answered() -> None:
    async def receive() -> dict[str, object]:
        return {"type": "http.disconnect"}

    path, passed = fast_path_of(engine := Stub())
    assert asyncio.run(send(path, scope_of(("1.2.3.4", 5)), receive)) == []
    assert engine.here == []
    with pytest.raises(ClientGone):
        connection.refuse_if_met(passed[0])  # type: ignore[arg-type]


def test_a_photo_that_comes_in_parts_is_put_together(engine: Engine) -> None:
    data = photo()
    starts = range(0, len(data), 1000)
    parts = [
        {"type": "http.request", "body": data[start : start + 1000], "more_body": start < starts[-1]}
        for start in starts
    ]

    async def receive() -> dict[str, object]:
        return parts.pop(0)

    path, passed = fast_path_of(engine)
    length = [(b"content-type", b"image/jpeg"), (b"content-length", b"%d" % len(data))]
    scope = scope_of(("1.2.3.4", 5), Connection(more_body=True), headers=length)
    sent = asyncio.run(send(path, scope, receive))
    assert passed == []
    assert json.loads(sent[1]["body"])["label"] == "dandelion"


def test_where_too_much_waits_nothing_is_read() -> None:
    path, passed = fast_path_of(stub := Stub())

    async def receive() -> dict[str, object]:
        raise AssertionError("it reads")

    with stub.line.holding(1 << 20):
        head, body = asyncio.run(send(path, scope_of(("1.2.3.4", 5)), receive))
    assert head["status"] == json.loads(body["body"])["status_code"] == 503
    assert dict(head["headers"])[b"retry-after"] == b"1"
    assert stub.here == passed == []


def test_who_comes_in_vain_is_told_so_as_by_the_routes(server: Appliance) -> None:
    labels = {"route": "/predict", "method": "POST", "status": "503"}
    counts = [("dandelion_requests_total", labels), ("dandelion_rejections_total", {"reason": "memory"})]
    before = [metric(server, name, **each) for name, each in counts]
    large = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: image/jpeg\r\ncontent-length: 1048576\r\n\r\n"
    with ExitStack() as uploads:
        for _ in range(UPLOADS):
            upload = uploads.enter_context(socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))))
            upload.sendall(large)
        full = [count + UPLOADS - HELD for count in before]
        wait_until(lambda: [metric(server, name, **each) for name, each in counts] == full, "a full house")
        fast, routed = both_ways(server, photo())
        assert told(fast) == told(routed)
        assert fast.status_code == 503
        assert int(fast.headers["retry-after"]) >= 1
        assert [metric(server, name, **each) for name, each in counts] == [count + 2 for count in full]


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


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    settings = Settings(threads=1, workers=1)
    engine = Engine(Model(Bundle.open(write_bundle(tmp_path / "v1")), threads=1, source=""), settings, Metrics())
    yield engine
    engine.close()


def here(engine: Engine, data: bytes) -> Answer | None:
    async def in_a_loop() -> Answer | None:
        return engine.answer_here(data)

    return asyncio.run(in_a_loop())


def test_a_small_photo_can_be_done_in_the_event_loop(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "SHORT_S", 60)
    in_the_loop, by_a_worker = here(engine, photo()), asyncio.run(engine.answer(photo()))
    assert in_the_loop is not None
    assert in_the_loop.probabilities == by_a_worker.probabilities
    assert in_the_loop.timings_ms.total >= in_the_loop.timings_ms.decode + in_the_loop.timings_ms.infer - 0.01 > 0
    with pytest.raises(ImageError, match="is broken"):
        here(engine, photo()[:700])


def with_segments(data: bytes, count: int, content: bytes = b"") -> bytes:
    """A JPEG with so many comments more."""
    return data[:2] + count * (b"\xff\xfe" + (len(content) + 2).to_bytes(2, "big") + content) + data[2:]


@cache
def long_photos() -> dict[str, bytes]:
    small = draw_photo("dandelion", 0)
    text = PngInfo()
    text.add_text("long", "x" * 1_000_000, zip=True)
    tags = Image.Exif()
    tags[0x010E] = "x" * 20_000
    return {
        "many pixels": photo(size=(600, 500)),
        "many bytes": photo() + bytes(1 << 16),
        "many scans": encode(small, progressive=True),
        "a text": encode(small, "PNG", pnginfo=text),
        "many segments": with_segments(photo(), 5000),
        "a large segment": with_segments(photo(), 1, bytes(20_000)),
        "a large EXIF block": encode(small, exif=tags.tobytes()),
        "four inks": encode(small.convert("CMYK")),
    }


@pytest.mark.parametrize(
    "kind",
    [
        "many pixels",
        "many bytes",
        "many scans",
        "a text",
        "many segments",
        "a large segment",
        "a large EXIF block",
        "four inks",
    ],
)
def test_a_photo_that_may_take_long_is_left_to_a_worker(
    engine: Engine, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = long_photos()[kind]
    monkeypatch.setattr(engines, "SHORT_S", 60)
    before = engine.line.service_s
    assert here(engine, long) is None
    assert engine.line.service_s == before
    assert asyncio.run(engine.answer(long)).label == "dandelion"


@pytest.mark.parametrize("way", ["answer", "work", "answer_here"])
def test_nothing_keeps_a_photo_that_was_refused(engine: Engine, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "SHORT_S", 60)

    async def refuse(data: bytes) -> None:
        with suppress(ImageError):
            if way == "answer":
                await engine.answer(data)
            elif way == "work":
                await engine.work(partial(decode, data, ImageSpec(height=8, width=8)))
            else:
                engine.answer_here(data)
            raise AssertionError("it is not refused")

    async def kept() -> int:
        data = bytes(bytearray(photo()[:700]))
        before = sys.getrefcount(data)
        await refuse(data)
        for _ in range(1000):  # the worker's own variables last a moment longer
            if sys.getrefcount(data) <= before:
                break
            await asyncio.sleep(0.01)
        return sys.getrefcount(data) - before

    gc.collect()
    gc.disable()
    try:
        assert asyncio.run(kept()) == 0
    finally:
        gc.enable()


def test_broken_photos_count_as_work_too(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "SHORT_S", 60)
    before = engine.line.service_s
    with pytest.raises(ImageError):
        here(engine, photo()[:700])
    assert engine.line.service_s != before


def test_where_photos_take_long_they_are_left_to_workers(engine: Engine) -> None:
    engine.line.took(100.0)
    assert here(engine, photo()) is None
    for _ in range(400):
        engine.line.took(0.001)
    assert here(engine, photo()) is not None


def test_beside_another_request_it_is_left_to_a_worker(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "SHORT_S", 60)
    with engine.line.place():
        assert here(engine, photo()) is None
    with engine.line.holding(5), engine.line.holding(5):
        assert here(engine, photo()) is None
    with engine.line.holding(5):
        assert here(engine, photo()) is not None
    assert here(engine, photo()) is not None
