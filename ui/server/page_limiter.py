"""Middleware: beyond the limits of open pages, 503 and a small static page in place of one that takes memory."""

from __future__ import annotations

import math

from runtime.api.requests.client import client_of
from runtime.asgi import Application, Message, Receive, Send
from runtime.serving.client_address import TrustedProxies
from runtime.serving.monitoring.metrics import Metrics
from ui.server.page_clients import CONNECT_S, PageClients
from ui.server.page_sockets import PageSockets
from ui.server.paths import PAGES, SOCKET

# The refresh is of the browser's own: a visitor who meets the limit has only to wait.
_FULL = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="{wait_s}">'
    "<title>503</title><p>Too many pages are open at the moment; this one opens in {wait_s} s. / "
    "Trop de pages sont ouvertes en ce moment ; celle-ci s&rsquo;ouvre dans {wait_s} s.</p></html>"
)


class PageLimiter:
    """ASGI middleware that answers 503 with `Retry-After` if no page or channel more may be opened."""

    def __init__(
        self, app: Application, clients: PageClients, sockets: PageSockets, proxies: TrustedProxies, metrics: Metrics
    ) -> None:
        """Wrap `app`, whose pages are counted in `clients` and their channels in `sockets`."""
        self._app = app
        self._clients = clients
        self._sockets = sockets
        self._proxies = proxies
        self._metrics = metrics

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
            return
        if scope["type"] == "http" and scope["method"] == "HEAD" and scope["path"] in PAGES:
            await _head(send)
            return
        wait_s = self._wait_s(scope)
        if wait_s:
            self._metrics.rejections.labels("page").inc()
            await _refuse(send, wait_s)
        else:
            await self._app(scope, receive, send)

    def _wait_s(self, scope: Message) -> int:
        """In how many seconds to ask again; 0 if there is room."""
        if scope["type"] != "http" or scope["method"] != "GET":
            return 0
        if scope["path"] in PAGES:
            return self._clients.wait_s(self._address(scope))
        begins = scope["path"].startswith(SOCKET) and b"sid=" not in scope["query_string"]
        return math.ceil(CONNECT_S) if begins and not self._sockets.begin_polling(self._address(scope)) else 0

    async def _websocket(self, scope: Message, receive: Receive, send: Send) -> None:
        address = self._address(scope)
        if not self._sockets.has_room(address):
            self._metrics.rejections.labels("page").inc()
            await send({"type": "websocket.close", "code": 1013})  # try again later
            return
        with self._sockets.websocket(address):
            await self._app(scope, receive, send)

    def _address(self, scope: Message) -> str:
        return client_of(scope, self._proxies) or ""  # type: ignore[arg-type]  # Litestar's spelling of ASGI


async def _head(send: Send) -> None:
    """Say that the page is there, and draw none: it would be kept, and nobody would open its channel."""
    headers = [(b"content-type", b"text/html; charset=utf-8"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _refuse(send: Send, wait_s: int) -> None:
    body = _FULL.format(wait_s=wait_s).encode()
    headers = [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"retry-after", b"%d" % wait_s),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
