"""Counts and times every request, by route template and status."""

from __future__ import annotations

import time

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from runtime.metrics import Metrics


class ObserveRequests(ASGIMiddleware):
    """Feeds `dandelion_requests_total`, `dandelion_request_seconds` and `dandelion_in_flight`."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, metrics: Metrics) -> None:
        """Record into `metrics`."""
        self._metrics = metrics

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Pass the request on and watch its answer."""
        began = time.perf_counter()

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = str(scope.get("path_template") or "unknown")
                self._metrics.requests.labels(route, str(scope.get("method")), message["status"]).inc()
                self._metrics.request_seconds.labels(route).observe(time.perf_counter() - began)
            await send(message)

        with self._metrics.in_flight.track_inprogress():
            await next_app(scope, receive, watch)
