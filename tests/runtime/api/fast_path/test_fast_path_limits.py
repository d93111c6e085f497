"""Fast path alone: what it leaves to the routes, and how errors, absent clients and overload are answered."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.datastructures import State
from litestar.exceptions import HTTPException

from runtime.api import fast_path
from runtime.api.fast_path import FastPath
from runtime.api.middleware.body_limits import BodyLimits
from runtime.api.middleware.headers import RequestMiddleware
from runtime.api.middleware.request_metrics import RequestMetricsMiddleware
from runtime.api.problems import handle_exception
from runtime.api.routes.predict import predict
from runtime.host.logs import request_id
from runtime.image import CorruptImage, ImageTooLarge, UnsupportedImage
from runtime.inference.predictions import Answer, ModelName, Timings
from runtime.serving.engine import Engine
from runtime.serving.monitoring.metrics import Metrics
from runtime.serving.scheduling.admission import AdmissionController, Overloaded
from runtime.serving.scheduling.batcher import ClientGone
from runtime.serving.settings import Settings
from runtime.serving.uploads import Uploads
from tests.support.photos import photo

FORM = b"multipart/form-data; boundary=x"


class Stub:
    """An engine that answers at once, and notes whether it was asked to do so in the event loop."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.admission = AdmissionController(1, budget_s=1)
        self.uploads = Uploads(1 << 20, share=1)
        self.here: list[bool] = []
        self._failure = failure

    def answer_here(self, _: bytes, *, measured: bool) -> Answer:
        return self._answer(here=True)

    async def answer(self, *_: object, measured: bool) -> Answer:
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
        {
            "headers": [
                (b"content-type", b"multipart/form-data; boundary=x"),
                (b"content-length", b"%d" % (fast_path.MAX_FORM_BYTES + 1)),
            ]
        },
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
