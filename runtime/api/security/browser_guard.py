"""CORS and CSRF middleware: what browsers send for another site is refused, unless its origin is named."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from runtime.api.json import json_headers
from runtime.api.problems import Problem, body_of
from runtime.api.security.origins import BrowserRequest, OriginRules
from runtime.asgi import Headers
from runtime.serving.monitoring.metrics import Metrics
from runtime.serving.settings import Settings

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})  # methods that change nothing (RFC 9110, 9.2.1)
ORIGIN, FETCH_SITE = b"origin", b"sec-fetch-site"
_HOST, _FORWARDED_HOST, _PREFLIGHT = b"host", b"x-forwarded-host", b"access-control-request-method"
_READ = frozenset({ORIGIN, FETCH_SITE, _HOST, _FORWARDED_HOST, _PREFLIGHT})
_ALLOWED: Headers = [
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
    (
        b"access-control-allow-headers",
        b"accept, authorization, content-type, inference-header-content-length, x-api-key, x-request-id, x-traffic",
    ),
    (b"access-control-max-age", b"600"),
]
_EXPOSED = (
    b"access-control-expose-headers",
    b"inference-header-content-length, retry-after, x-explained, x-label, x-request-id",
)


class BrowserGuard:
    """ASGI middleware. Judges a request by `Origin` and `Sec-Fetch-Site`; one that has neither passes unjudged.

    Reading (GET) is free: without CORS headers a browser shows the answer to no other site.
    """

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics, *, channel: str | None = None) -> None:
        """`channel` is the path below which reading is judged, too: that of a message channel over HTTP."""
        self._app = app
        self._rules = OriginRules(settings.cors, settings.hosts)
        self._proxies = settings.trusted_proxies
        self._metrics = metrics
        self._channel = channel

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judge one request or websocket."""
        if scope["type"] not in (ScopeType.HTTP, ScopeType.WEBSOCKET):
            await self._app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"] if name in _READ}
        if ORIGIN in headers or FETCH_SITE in headers:
            await self._judge(scope, receive, send, headers)
        else:
            await self._app(scope, receive, send)

    async def _judge(self, scope: Scope, receive: Receive, send: Send, headers: dict[bytes, str]) -> None:
        request = self._request(scope, headers)
        preflight = scope.get("method") == "OPTIONS" and _PREFLIGHT in headers
        refusal = self._rules.refusal(request) if preflight or self._is_judged(scope) else None
        if refusal:
            self._metrics.rejections.labels("host" if self._rules.refusal_of_host(request) else "origin").inc()
            await _refuse(scope, send, refusal)
        elif not self._rules.names(request.origin):
            await self._app(scope, receive, send)
        elif preflight:
            await _answer(send, HTTPStatus.NO_CONTENT, [*_admitting(request), *_ALLOWED], b"")
        else:
            await self._app(scope, receive, _with_headers(send, [*_admitting(request), _EXPOSED]))

    def _request(self, scope: Scope, headers: dict[bytes, str]) -> BrowserRequest:
        peer, forwarded = scope.get("client"), headers.get(_FORWARDED_HOST)
        return BrowserRequest(
            headers.get(ORIGIN),
            headers.get(FETCH_SITE),
            headers.get(_HOST),
            forwarded and forwarded.rpartition(",")[2].strip(),  # the last one is the trusted proxy's own word
            proxied=self._proxies.include(peer[0] if peer else ""),
        )

    def _is_judged(self, scope: Scope) -> bool:
        if scope.get("method") not in SAFE:  # a websocket has no method
            return True
        return self._channel is not None and scope["path"].startswith(self._channel)


def _admitting(request: BrowserRequest) -> Headers:
    return [(b"access-control-allow-origin", (request.origin or "").encode("latin-1")), (b"vary", b"origin")]


def _with_headers(send: Send, headers: Headers) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *headers]
        await send(message)

    return send_with_headers


async def _refuse(scope: Scope, send: Send, detail: str) -> None:
    body = msgspec.json.encode(body_of(Problem(int(HTTPStatus.FORBIDDEN), detail), scope["path"]))
    if scope["type"] == ScopeType.HTTP:
        await _answer(send, HTTPStatus.FORBIDDEN, json_headers(body), body)
    else:
        await send({"type": "websocket.close", "code": 1008, "reason": detail})  # the server makes it a 403


async def _answer(send: Send, status: HTTPStatus, headers: Headers, body: bytes) -> None:
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
