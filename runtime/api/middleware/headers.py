"""Middleware: request ID, security headers, limits of the request body.

The fast path (`runtime/api/fast_path.py`) applies the same parts.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from runtime.api.middleware.body_limits import BodyLimits
from runtime.asgi import Headers
from runtime.host.logs import request_id

_SANE_ID = re.compile(rb"[\w.:-]{1,64}")
ID = b"x-request-id"
_JSON = re.compile(rb"application/([\w.-]+\+)?json(;.*)?")
NEWLINE = b"\n"  # ends each JSON body, so that a terminal's prompt stands on a line of its own

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


class RequestMiddleware:
    """ASGI middleware around all routes: Litestar's own middleware does not see requests that match no route."""

    def __init__(self, app: ASGIApp, bodies: BodyLimits) -> None:
        """`bodies` limits request bodies."""
        self._app = app
        self._bodies = bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        identity = identity_header(dict(scope["headers"]))
        token = request_id.set(identity[1].decode())
        is_json = False

        async def send_with_headers(message: Message) -> None:
            nonlocal is_json
            if message["type"] == "http.response.start":
                is_json = any(name == b"content-type" and _JSON.fullmatch(value) for name, value in message["headers"])
                theirs = map(_one_longer, message["headers"]) if is_json else message["headers"]
                message["headers"] = [*_with_ours(theirs), identity]
            elif is_json and message["type"] == "http.response.body" and not message["more_body"]:
                message["body"] += NEWLINE
            await send(message)

        try:
            with self._bodies.reading(scope, receive) as bounded:
                await self._app(scope, bounded, send_with_headers)
        finally:
            request_id.reset(token)


def identity_header(headers: Mapping[bytes, bytes]) -> tuple[bytes, bytes]:
    """The header of an answer that names its request: by the id that the request's own headers give, or a fresh one."""
    given = headers.get(ID)
    return (ID, given if given and _SANE_ID.fullmatch(given) else b"%032x" % random.getrandbits(128))


def _one_longer(header: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    """The header of a body to which NEWLINE is added."""
    name, value = header
    return (name, b"%d" % (int(value) + len(NEWLINE))) if name == b"content-length" else header


def _with_ours(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The headers of an answer and those that it lacks; data needs fewer of them than a page."""
    theirs = list(headers)
    if any(name == b"content-type" and value == b"application/json" for name, value in theirs):
        return theirs + OF_DATA
    there = {name.lower() for name, _ in theirs}
    return theirs + [(name, value) for name, value in _OF_PAGES if name not in there]
