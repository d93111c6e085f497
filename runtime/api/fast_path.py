"""`POST /predict` with a photo as the body, without a framework: it is what this appliance is there for.

Litestar's routing, request and response, and the layers around it, cost such a request as much as half a small
inference (`benchmarks/NOTES.md`). What is less plain goes their way: a form, a body of unknown length, a request
without a key. So does what this path refuses: their route is told why, and says so as it says all else. Only who comes
in vain, because there is too much to do, is told so here: by the thousand a second it must cost next to nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from functools import partial

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from runtime.admission import Overloaded
from runtime.answers import Answer
from runtime.api.connection import Met, has_left, pass_on
from runtime.api.guard import OF_DATA, Patience, identity_header
from runtime.api.json import json_headers
from runtime.api.keys import is_among, predicting_keys
from runtime.api.predict import PATH
from runtime.api.problems import Problem, turn_away
from runtime.api.upload import is_photo
from runtime.appliance import Appliance
from runtime.batcher import ClientGone

LONE_AFTER_S = 0.05  # many times what several busy clients leave between two of their requests


class FastPath:
    """An ASGI layer around `app`, whose route for PATH begins with `connection.refuse_if_met`."""

    def __init__(self, app: ASGIApp, appliance: Appliance, patience: Patience) -> None:
        """Answer by the engine of `appliance`; uploads are waited for with `patience`."""
        self._app = app
        self._patience = patience
        self._engine = appliance.engine
        self._metrics = appliance.metrics
        self._most_bytes = appliance.settings.max_upload_bytes
        self._keys = predicting_keys(appliance.settings)
        self._client: object = None
        self._client_since = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a plain request, and pass any other on."""
        if scope["type"] != ScopeType.HTTP or scope["path"] != PATH or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        lone = self._is_lone(scope.get("client"), began)
        given = list(scope["headers"])
        headers = dict(given)
        answer: Answer | Problem | None = None
        status, more = 200, []
        if len(headers) == len(given) and self._is_plain(headers):
            try:
                answer = await self._answer(scope, receive, int(headers[b"content-length"]), lone=lone)
            except Overloaded as refusal:
                answer, retry_after = turn_away(refusal, self._metrics)
                status, more = answer.status_code, [(b"retry-after", retry_after.encode())]
            except Exception as refusal:
                pass_on(scope, Met(refusal, began))
        if answer is None:
            await self._app(scope, receive, send)
            return
        body = msgspec.json.encode(answer)
        head = [*json_headers(body), *more, *OF_DATA, identity_header(headers)]
        seconds = time.perf_counter() - began
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": body, "more_body": False})
        asyncio.get_running_loop().call_soon(self._metrics.count_request, PATH, "POST", status, seconds)

    def _is_lone(self, client: object, now: float) -> bool:
        """Whether no connection but this one has lately sent a photo; `now` is in seconds."""
        if client is None or client != self._client:
            self._client, self._client_since = client, now
        return now - self._client_since > LONE_AFTER_S

    def _is_plain(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether these are the headers of a photo that will be accepted as far as they can tell."""
        length = b"" if b"transfer-encoding" in headers else headers.get(b"content-length", b"")
        fits = length.isdigit() and int(length) <= self._most_bytes and is_photo(_text(headers, b"content-type"))
        return fits and (not self._keys or self._brings_a_key(headers))

    def _brings_a_key(self, headers: Mapping[bytes, bytes]) -> bool:
        return is_among(self._keys, _text(headers, b"x-api-key"), _text(headers, b"authorization"))

    async def _answer(self, scope: Scope, receive: Receive, size_bytes: int, *, lone: bool) -> Answer:
        with self._metrics.in_flight(), self._engine.line.holding(size_bytes):
            photo = await self._read(self._patience.with_upload(scope, receive))
            here = self._engine.answer_here(photo) if lone else None
            return here or await self._engine.answer(photo, partial(has_left, scope))

    async def _read(self, receive: Receive) -> bytes:
        began = time.perf_counter()
        parts = []
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                raise ClientGone
            parts.append(message["body"])
            more = message["more_body"]
        asyncio.get_running_loop().call_soon(self._metrics.observe, "read", time.perf_counter() - began)
        return parts[0] if len(parts) == 1 else b"".join(parts)


def _text(headers: Mapping[bytes, bytes], name: bytes) -> str:
    return headers.get(name, b"").decode("latin-1")
