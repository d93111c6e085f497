"""Middleware: count and time requests by route template and status; the fast path counts its own answers."""

from __future__ import annotations

import time

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from runtime.api.middleware.headers import ID
from runtime.serving.monitoring.metrics import Metrics


class RequestMetricsMiddleware:
    """ASGI middleware for `dandelion_requests_total`, `dandelion_request_seconds` and `dandelion_in_flight`."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        """Record into `metrics`."""
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and watch its answer."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = str(scope.get("path_template") or "unknown")
                identity = next((value for name, value in message["headers"] if name == ID), b"").decode()
                seconds = time.perf_counter() - began
                self._metrics.count_request(route, scope["method"], message["status"], seconds, identity)
            await send(message)

        with self._metrics.in_flight():
            await self._app(scope, receive, watch)
