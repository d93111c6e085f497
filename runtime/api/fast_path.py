"""ASGI fast path: a plain `POST /predict` is answered without the web framework.

Litestar's routing, request and response, and the middleware, cost such a request as much as half a small inference
(`benchmarks/NOTES.md`). A request is plain if its body is the photo, or a short form with it, its length is known, its
API key, if one is required, was valid before, and no browser sends it for a page. All others, long forms and chunked
bodies among them, fall through to the Litestar route. An error, load shedding (503) included, is answered here by the
same `error_response` that Litestar's exception handler uses.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from runtime.api.json import json_headers
from runtime.api.middleware.body_limits import BodyLimits
from runtime.api.middleware.headers import NEWLINE, OF_DATA, identity_header
from runtime.api.problems import Problem, error_response
from runtime.api.requests.client import client_of
from runtime.api.requests.request_state import has_left, take_body
from runtime.api.requests.traffic import is_measurement
from runtime.api.requests.upload import is_form, is_photo, photo_in_form
from runtime.api.routes.predict import PATH
from runtime.api.security.browser_guard import FETCH_SITE, ORIGIN
from runtime.api.security.key_check import KeyCheck
from runtime.api.security.keys import predicting_keys
from runtime.asgi import Headers
from runtime.host.logs import request_id
from runtime.inference.predictions import Answer
from runtime.serving.appliance import Appliance
from runtime.serving.http.whole_answer import send_whole
from runtime.serving.uploads import Upload

MAX_FORM_BYTES = 1 << 20  # longer ones are parsed as they come, since here a form is copied
LONE_AFTER_S = 0.05  # many times what several busy clients leave between two of their requests


class FastPath:
    """ASGI middleware that answers plain requests for PATH and passes all others on to `app`."""

    def __init__(
        self, app: ASGIApp, appliance: Appliance, bodies: BodyLimits, key_check: KeyCheck | None = None
    ) -> None:
        """Classify with the engine of `appliance`; `bodies` limits the uploads.

        Without `key_check` every request that needs a key is passed on.
        """
        self._app = app
        self._bodies = bodies
        self._engine = appliance.engine
        self._metrics = appliance.metrics
        self._settings = appliance.settings
        self._max_bytes = appliance.settings.max_upload_bytes
        self._keys = predicting_keys(appliance.settings)
        self._key_check = key_check
        self._client: object = None
        self._client_since = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: answer a plain request, pass any other on."""
        if scope["type"] != ScopeType.HTTP or scope["path"] != PATH or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        lone = self._is_lone(scope.get("client"), began)
        given = list(scope["headers"])
        headers = dict(given)
        content_type = _text(headers, b"content-type")
        if len(headers) != len(given) or not self._is_plain(scope, headers, content_type):
            await self._app(scope, receive, send)
            return
        identity = identity_header(headers)
        answer: Answer | Problem
        status = 200
        more: Headers = []
        try:
            answer = await self._answer(scope, receive, content_type, lone=lone)
        except Exception as error:
            answer, more = self._problem(error, identity)
            status = answer.status_code
        body = msgspec.json.encode(answer) + NEWLINE
        head = [*more, *json_headers(body), *OF_DATA, identity]
        seconds = time.perf_counter() - began
        if status != 200 or not send_whole(send, status, head, body):
            await send({"type": "http.response.start", "status": status, "headers": head})
            await send({"type": "http.response.body", "body": body, "more_body": False})
        asyncio.get_running_loop().call_soon(self._count, status, seconds, identity[1])

    def _count(self, status: int, seconds: float, identity: bytes) -> None:
        self._metrics.count_request(PATH, "POST", status, seconds, identity.decode())

    def _is_lone(self, client: object, now: float) -> bool:
        """Whether no other connection has sent a photo for a while; `now` is in seconds."""
        if client is None or client != self._client:
            self._client, self._client_since = client, now
        return now - self._client_since > LONE_AFTER_S

    def _is_plain(self, scope: Scope, headers: Mapping[bytes, bytes], content_type: str) -> bool:
        """Whether the body is a photo of a known and accepted length, from a client that may predict."""
        if ORIGIN in headers or FETCH_SITE in headers:  # a browser, which the middleware judges
            return False
        length = b"" if b"transfer-encoding" in headers else headers.get(b"content-length", b"")
        if b"content-encoding" in headers:  # is refused by name
            return False
        fits = length.isdigit() and int(length) <= self._limit(content_type)
        return fits and (not self._keys or self._has_proven_key(scope, headers))

    def _limit(self, content_type: str) -> int:
        """The longest body of this content type that is read here, in bytes; -1 for none."""
        if is_photo(content_type):
            return self._max_bytes
        return min(self._max_bytes, MAX_FORM_BYTES) if is_form(content_type) else -1

    def _has_proven_key(self, scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
        if self._key_check is None:
            return False
        given = _text(headers, b"x-api-key"), _text(headers, b"authorization")
        return self._key_check.is_proven(self._keys, scope, *given)

    async def _answer(self, scope: Scope, receive: Receive, content_type: str, *, lone: bool) -> Answer:
        with self._metrics.in_flight(), self._bodies.upload(scope) as upload:
            self._engine.admission.check_wait()
            photo = await self._read(scope, receive, content_type, upload)
            measured = is_measurement(scope)
            here = self._engine.answer_here(photo, measured=measured) if lone else None
            client = partial(client_of, scope, self._settings.trusted_proxies)
            return here or await self._engine.answer(photo, partial(has_left, scope), client, measured=measured)

    def _problem(self, error: Exception, identity: tuple[bytes, bytes]) -> tuple[Problem, Headers]:
        """The body of an error response, and its additional headers."""
        token = request_id.set(identity[1].decode())  # if it is logged, then with the ID of its request
        try:
            problem, headers = error_response(error, "POST", PATH, self._metrics, self._settings)
        finally:
            request_id.reset(token)
        return problem, [(name.encode(), value.encode()) for name, value in headers.items()]

    async def _read(self, scope: Scope, receive: Receive, content_type: str, upload: Upload) -> bytes:
        """The photo of a request; the time is measured if there is one."""
        began = time.perf_counter()
        body = take_body(scope, receive)
        if body is None:
            body = await _receive_all(self._bodies.bounded(scope, receive, upload))
        else:
            upload.add(len(body))
        photo = photo_in_form(content_type, body) if is_form(content_type) else body
        self._metrics.observe("read", time.perf_counter() - began)
        return photo


async def _receive_all(receive: Receive) -> bytes:
    parts = []
    more = True
    while more:
        message: Any = await receive()
        parts.append(message["body"])
        more = message["more_body"]
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _text(headers: Mapping[bytes, bytes], name: bytes) -> str:
    return headers.get(name, b"").decode("latin-1")
