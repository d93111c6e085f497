"""What holds for every request: an id that is in the logs, too; headers that browsers heed; no endless uploads.

The fast path (`runtime/api/fast_path.py`) keeps to it by the same parts.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Iterable, Mapping

from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp, HTTPReceiveMessage, Message, Receive, Scope, Send

from runtime.api.connection import is_here
from runtime.logs import request_id
from runtime.metrics import Metrics

SLOWEST_UPLOAD = 8 * 1024  # bytes/s, after the patience is used up
_SANE_ID = re.compile(rb"[\w.:-]{1,64}")
_ID = b"x-request-id"

Headers = list[tuple[bytes, bytes]]

_OF_ALL: Headers = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
OF_DATA: Headers = [*_OF_ALL, (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")]
_OF_PAGES: Headers = [
    *_OF_ALL,
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=()"),
    # Nothing from elsewhere; inline scripts and styles are the page's own.
    (
        b"content-security-policy",
        b"default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        b"img-src 'self' data: blob:; connect-src 'self'; frame-ancestors 'self'; base-uri 'self'; form-action 'self'",
    ),
]


class Patience:
    """How long an upload is waited for."""

    def __init__(self, metrics: Metrics, seconds: float) -> None:
        """It may pause for so many seconds, and after as long must have kept up a rate."""
        self._metrics = metrics
        self._seconds = seconds

    def with_upload(self, scope: Scope, receive: Receive) -> Receive:
        """`receive`, which then raises HTTPException 408 where the rest of the body does not come in time."""
        return receive if is_here(scope) else self._impatient(receive)

    def _impatient(self, receive: Receive) -> Receive:
        began, received, more = time.monotonic(), 0, True

        async def receive_in_time() -> HTTPReceiveMessage:
            nonlocal received, more
            if not more:
                return await receive()  # type: ignore[return-value]  # the wait for a disconnect may be long
            allowed_s = self._seconds + received / SLOWEST_UPLOAD - (time.monotonic() - began)
            try:
                async with asyncio.timeout(max(0.0, min(self._seconds, allowed_s))):
                    message = await receive()
            except TimeoutError as error:
                self._metrics.rejections.labels("upload_timeout").inc()
                raise HTTPException(
                    f"the upload stopped for {self._seconds:g} s or was too slow; send it again",
                    status_code=408,
                    headers={"connection": "close"},
                ) from error
            if message["type"] == "http.request":
                received += len(message["body"])
                more = message["more_body"]
            return message  # type: ignore[return-value]

        return receive_in_time


class Guard:
    """An ASGI layer around the routes: Litestar's own middleware does not see what no route takes."""

    def __init__(self, app: ASGIApp, patience: Patience) -> None:
        """Uploads are waited for with `patience`."""
        self._app = app
        self._patience = patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        identity = identity_header(dict(scope["headers"]))
        token = request_id.set(identity[1].decode())

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*_with_ours(message["headers"]), identity]
            await send(message)

        try:
            await self._app(scope, self._patience.with_upload(scope, receive), send_with_headers)
        finally:
            request_id.reset(token)


def identity_header(headers: Mapping[bytes, bytes]) -> tuple[bytes, bytes]:
    """The header of an answer that names its request: by the id that the request's own headers give, or a fresh one."""
    given = headers.get(_ID)
    return (_ID, given if given and _SANE_ID.fullmatch(given) else b"%032x" % random.getrandbits(128))


def _with_ours(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The headers of an answer and those that it lacks; data needs fewer of them than a page."""
    theirs = list(headers)
    if any(name == b"content-type" and value == b"application/json" for name, value in theirs):
        return theirs + OF_DATA
    there = {name.lower() for name, _ in theirs}
    return theirs + [(name, value) for name, value in _OF_PAGES if name not in there]
