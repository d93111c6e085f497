"""ASGI application: fast path and middleware around the Litestar routes, exception handler, OpenAPI, lifespan."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, cast

from litestar import Litestar, Request, Router, get
from litestar.datastructures import State
from litestar.di import Provide
from litestar.response import Redirect
from litestar.types import Receive, Scope, Send

from runtime.api.fast_path import FastPath
from runtime.api.middleware.body_limits import BodyLimits
from runtime.api.middleware.head import HeadAsGet
from runtime.api.middleware.headers import RequestMiddleware
from runtime.api.middleware.path_prefix import PathPrefix, prefix_of
from runtime.api.middleware.request_metrics import RequestMetricsMiddleware
from runtime.api.openapi import pages as docs
from runtime.api.problems import handle_exception
from runtime.api.requests import request_state
from runtime.api.routes import health, models
from runtime.api.routes.display import ExamplesOnce, examples, picture
from runtime.api.routes.explain import explain
from runtime.api.routes.feedback import feedback
from runtime.api.routes.predict import predict, predict_batch
from runtime.api.routes.teach import router as teach
from runtime.api.security.browser_guard import BrowserGuard
from runtime.api.security.guards import may_predict
from runtime.api.security.key_check import KeyCheck
from runtime.api.teaching.candidate import CandidateModel
from runtime.api.teaching.service import TeachingService
from runtime.api.v2 import routes as v2
from runtime.api.v2.statistics import Statistics
from runtime.host.memory import return_free_memory
from runtime.serving.appliance import Appliance
from runtime.serving.http.early_answer import close_if_early
from runtime.serving.versions.comparison import ComparisonModel


@get("/", include_in_schema=False)
async def home(request: Request[Any, Any, Any]) -> Redirect:
    """Redirect a browser to the API's documentation."""
    return Redirect(prefix_of(request.scope) + docs.PATH)


class App:
    """The HTTP interface of an appliance, as an ASGI app; its lifespan starts and stops the appliance."""

    def __init__(self, appliance: Appliance) -> None:
        """Build the routes; nothing runs before the lifespan begins."""
        self.appliance = appliance
        metrics, settings = appliance.metrics, appliance.settings
        key_check = KeyCheck(settings, metrics)
        self.teaching = TeachingService(appliance)
        self._routes = _routes(appliance, self.teaching, key_check)
        bodies = BodyLimits(metrics, appliance.engine.uploads, settings, appliance.engine.heavy)
        routes = HeadAsGet(self._routes)
        guard = BrowserGuard(routes, settings, metrics)  # type: ignore[arg-type]  # Litestar spells ASGI in its own types
        guarded = RequestMiddleware(guard, bodies)
        fast = FastPath(RequestMetricsMiddleware(guarded, metrics), appliance, bodies, key_check)
        behind_proxy = settings.path_prefix or settings.trusted_proxies
        self._outermost: Any = (
            PathPrefix(fast, settings) if behind_proxy else fast
        )  # the fast path looks at few headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: serve one request or websocket."""
        request_state.attach_connection(scope, receive)
        try:
            await self._outermost(scope, receive, close_if_early(cast("dict[str, Any]", scope), receive, send))
        finally:
            request_state.detach_connection(scope)

    def lifespan(self) -> AbstractAsyncContextManager[None]:
        """The lifespan, for a process that serves other apps beside this one."""
        return self._routes.lifespan()


def _routes(appliance: Appliance, teaching: TeachingService, key_check: KeyCheck) -> Litestar:

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        appliance.start()
        teaching.start()
        return_free_memory()  # what the imports and the first drawing of the routes left behind
        yield
        await asyncio.get_running_loop().run_in_executor(None, teaching.stop)
        await asyncio.get_running_loop().run_in_executor(None, appliance.stop)

    # Litestar copies the handler for each guard it calls: without API keys there is no guard.
    guards = [may_predict] if appliance.settings.api_keys else []
    return Litestar(
        route_handlers=[
            home,
            Router("/", route_handlers=[predict, predict_batch, explain, feedback], guards=guards),
            models.router,
            teach,
            v2.router,
            health.health,
            health.live,
            health.ready,
            health.model,
            picture,
            examples,
            health.metrics,
            docs.asset,
        ],
        dependencies={name: _constant(value) for name, value in _dependencies(appliance, teaching).items()},
        state=State(
            {
                "engine": appliance.engine,
                "metrics": appliance.metrics,
                "settings": appliance.settings,
                "key_check": key_check,
            }
        ),
        exception_handlers={Exception: handle_exception},
        lifespan=[lifespan],
        openapi_config=docs.openapi_config(appliance.release),
        request_max_body_size=appliance.settings.max_upload_bytes,
        logging_config=None,
    )


def _dependencies(appliance: Appliance, teaching: TeachingService) -> dict[str, object]:
    """Dependency injection: what route handlers take by parameter name."""
    return {
        "appliance": appliance,
        "candidate": CandidateModel(appliance.engine, appliance.settings),
        "comparison": ComparisonModel(appliance.engine, appliance.reloader, appliance.settings),
        "engine": appliance.engine,
        "feedback": appliance.feedback,
        "reloader": appliance.reloader,
        "metrics": appliance.metrics,
        "settings": appliance.settings,
        "shown": ExamplesOnce(appliance.examples),
        "statistics": Statistics(),
        "teaching": teaching,
    }


def _constant(value: object) -> Provide:
    return Provide(lambda: value, sync_to_thread=False, use_cache=True)
