"""Fast path against Litestar routes: a photo of known length takes the one, a chunked photo the other.

Status, body, headers, metrics and logs are the same.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from runtime.api import fast_path
from runtime.api.body_limits import BodyLimits
from runtime.api.fast_path import FastPath
from runtime.api.middleware import RequestMiddleware
from runtime.api.predict import predict
from runtime.api.problems import handle_exception
from runtime.api.request_metrics import RequestMetricsMiddleware
from runtime.api.security.keys import new_key
from runtime.bundle.manifest import Bundle
from runtime.host.logs import request_id
from runtime.image import CorruptImage, ImageError, ImageSpec, ImageTooLarge, UnsupportedImage, decode
from runtime.inference.predictions import Answer, ModelName, Timings
from runtime.serving.engine import Engine
from runtime.serving.loaded_model import LoadedModel
from runtime.serving.metrics import STAGES, Metrics
from runtime.serving.scheduling.admission import AdmissionController, Overloaded
from runtime.serving.scheduling.batcher import ClientGone
from runtime.serving.settings import Settings
from runtime.serving.uploads import Uploads
from tests.support.bundles import write_bundle
from tests.support.following import metric
from tests.support.photos import draw_photo, encode, photo
from tests.support.references import references_left
from tests.support.servers import Appliance, appliance

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


class Stub:
    """An engine that answers at once, and notes whether it was asked to do so in the event loop."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.admission = AdmissionController(1, budget_s=1)
        self.uploads = Uploads(1 << 20, share=1)
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
    body = b"photo"

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
    return FastPath(app, around, BodyLimits(metrics, engine.uploads, around.settings)), passed  # type: ignore[arg-type]


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
        {"headers": [(b"content-type", b"multipart/mixed"), (b"content-length", b"5")]},
        {"headers": [(b"content-type", FORM.encode()), (b"content-length", b"%d" % (fast_path.MAX_FORM_BYTES + 1))]},
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


Counts = dict[tuple[str | tuple[str, str], ...], float]
COUNTED = {f"dandelion_{name}" for name in (
    "in_flight", "requests_total", "request_seconds_count", "stage_seconds_count", "rejections_total",
    "predictions_total", "confidence_count",
)}  # fmt: skip


class LogOfIds(logging.Handler):
    """Keeps each log line with the ID of the request that it is about."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[str, str | None, BaseException | None]] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self.lines.append((record.getMessage(), request_id.get(), error))


def fails(failure: Exception, body: Any) -> tuple[int, bytes, list[tuple[bytes, bytes]], Counts]:
    """Status, body and headers if the engine raises `failure`, and what the metrics have counted."""
    metrics, settings, engine = Metrics(), Settings(threads=1, workers=1), Stub(failure)
    state = State({"engine": engine, "metrics": metrics, "settings": settings})
    handlers = {Exception: handle_exception}
    routes = Litestar([predict], exception_handlers=handlers, state=state, openapi_config=None, logging_config=None)
    bodies = BodyLimits(metrics, engine.uploads, settings)
    appliance: Any = SimpleNamespace(engine=engine, metrics=metrics, settings=settings)
    path = FastPath(RequestMetricsMiddleware(RequestMiddleware(routes, bodies), metrics), appliance, bodies)

    async def post() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(path)) as client:  # type: ignore[arg-type]
            headers = {"content-type": "image/jpeg", "x-request-id": "kiosk-7"}
            return await client.post("http://appliance/predict", content=body, headers=headers)

    answer = asyncio.run(post())
    samples = (sample for family in metrics.registry.collect() for sample in family.samples)
    counts = {(each.name, *sorted(each.labels.items())): each.value for each in samples if each.name in COUNTED}
    return answer.status_code, answer.content, answer.headers.raw, counts


@pytest.mark.parametrize(
    ("failure", "status", "logged"),
    [
        (Overloaded("queue", 7), 503, False),
        (Overloaded("memory", 1), 503, False),
        (UnsupportedImage("no photo"), 415, False),
        (ImageTooLarge("a giant"), 413, False),
        (CorruptImage("broken"), 422, False),
        (HTTPException("too slow", status_code=408, headers={"connection": "close"}), 408, False),
        (ClientGone(), 499, False),
        (RuntimeError("a fault of ours"), 500, True),
        (MemoryError(), 500, True),
    ],
)
def test_an_error_is_answered_counted_and_logged_as_by_the_routes(
    failure: Exception, status: int, logged: bool
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"photo"

    log = logging.getLogger("runtime.api.problems")
    log.addHandler(lines := LogOfIds())
    try:
        fast, routed = fails(failure, b"photo"), fails(failure, chunks())
    finally:
        log.removeHandler(lines)
    assert fast == routed
    assert fast[0] == status
    labels = ("method", "POST"), ("route", "/predict"), ("status", str(status))
    assert fast[3]["dandelion_requests_total", *labels] == 1
    assert fast[3]["dandelion_request_seconds_count", ("route", "/predict")] == 1
    assert lines.lines == 2 * logged * [("POST '/predict' failed", "kiosk-7", failure)]


def test_a_client_that_leaves_while_it_sends_is_counted_and_nothing_is_computed() -> None:
    async def receive() -> dict[str, object]:
        return {"type": "http.disconnect"}

    path, passed = fast_path_of(engine := Stub())
    head, _ = asyncio.run(send(path, scope_of(("1.2.3.4", 5)), receive))
    assert head["status"] == 499  # which uvicorn sends to nobody
    assert engine.here == passed == []


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

    with stub.admission.enqueue(100):
        head, body = asyncio.run(send(path, scope_of(("1.2.3.4", 5)), receive))
    assert head["status"] == json.loads(body["body"])["status_code"] == 503
    assert dict(head["headers"])[b"retry-after"] == b"2"
    assert stub.here == passed == []


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
    engine = Engine(LoadedModel(Bundle.open(write_bundle(tmp_path / "v1")), threads=1, source=""), settings, Metrics())
    yield engine
    engine.close()


def here(engine: Engine, data: bytes) -> Answer | None:
    async def in_a_loop() -> Answer | None:
        return engine.answer_here(data)

    return asyncio.run(in_a_loop())


def test_a_small_photo_can_be_done_in_the_event_loop(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.serving.engine.SHORT_S", 60)
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
    monkeypatch.setattr("runtime.serving.engine.SHORT_S", 60)
    before = engine.admission.service_s
    assert here(engine, long) is None
    assert engine.admission.service_s == before
    assert asyncio.run(engine.answer(long)).label == "dandelion"


@pytest.mark.parametrize("way", ["answer", "work", "answer_here"])
def test_nothing_keeps_a_photo_that_was_refused(engine: Engine, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.serving.engine.SHORT_S", 60)

    async def refuse(data: bytes) -> None:
        with suppress(ImageError):
            if way == "answer":
                await engine.answer(data)
            elif way == "work":
                await engine.work(partial(decode, data, ImageSpec(height=8, width=8)))
            else:
                engine.answer_here(data)
            raise AssertionError("it is not refused")

    assert references_left(bytes(bytearray(photo()[:700])), refuse) == 0


def test_broken_photos_count_as_work_too(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.serving.engine.SHORT_S", 60)
    before = engine.admission.service_s
    with pytest.raises(ImageError):
        here(engine, photo()[:700])
    assert engine.admission.service_s != before


def test_where_photos_take_long_they_are_left_to_workers(engine: Engine) -> None:
    engine.admission.record_service_time(100.0)
    assert here(engine, photo()) is None
    for _ in range(400):
        engine.admission.record_service_time(0.001)
    assert here(engine, photo()) is not None


def test_beside_another_request_it_is_left_to_a_worker(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.serving.engine.SHORT_S", 60)
    with engine.admission.enqueue():
        assert here(engine, photo()) is None
    with engine.uploads.upload(lambda: ""), engine.uploads.upload(lambda: ""):
        assert here(engine, photo()) is None
    with engine.uploads.upload(lambda: ""):
        assert here(engine, photo()) is not None
    assert here(engine, photo()) is not None
