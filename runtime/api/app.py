"""The Litestar app: routes, refusals, documents, metrics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from litestar import Litestar, Router, get
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.response import Redirect
from litestar.types import Receive, Scope, Send

from runtime.admission import Overloaded
from runtime.api import connection, docs, health, models
from runtime.api.explain import explain
from runtime.api.fast_path import FastPath
from runtime.api.feedback import feedback
from runtime.api.guard import Guard, Patience
from runtime.api.keys import may_predict
from runtime.api.observe import ObserveRequests
from runtime.api.predict import predict, predict_batch
from runtime.api.problems import apologise, forget, refuse_for_now, refuse_image, refuse_request
from runtime.api.v2 import routes as v2
from runtime.appliance import Appliance
from runtime.batcher import ClientGone
from runtime.beside import Beside
from runtime.image import ImageError
from runtime.memory import return_free_memory


@get("/", include_in_schema=False)
async def home() -> Redirect:
    """Show a person who opens the appliance in a browser what it can do."""
    return Redirect(docs.PATH)


class App:
    """The HTTP interface of an appliance, as an ASGI app; its lifespan starts and stops the appliance."""

    def __init__(self, appliance: Appliance) -> None:
        """Nothing runs before the lifespan begins."""
        self.appliance = appliance
        metrics, settings = appliance.metrics, appliance.settings
        self._routes = _routes(appliance)
        patience = Patience(metrics, settings.upload_patience_s)
        self._outermost = FastPath(ObserveRequests(Guard(self._routes, patience), metrics), appliance, patience)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        connection.remember(scope, receive)
        try:
            await self._outermost(scope, receive, send)
        finally:
            connection.forget(scope)

    def lifespan(self) -> AbstractAsyncContextManager[None]:
        """The lifespan, for a process that serves other apps beside this one."""
        return self._routes.lifespan()


def _routes(appliance: Appliance) -> Litestar:

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        appliance.start()
        return_free_memory()  # what the imports and the first drawing of the routes left behind
        yield
        await asyncio.get_running_loop().run_in_executor(None, appliance.stop)

    # Litestar copies the handler for every guard that it asks: where there are no keys, none is asked.
    guards = [may_predict] if appliance.settings.api_keys else []
    return Litestar(
        route_handlers=[
            home,
            Router("/", route_handlers=[predict, predict_batch, explain, feedback], guards=guards),
            models.router,
            v2.router,
            health.health,
            health.live,
            health.ready,
            health.model,
            health.metrics,
            docs.asset,
        ],
        dependencies={name: _constant(value) for name, value in _dependencies(appliance).items()},
        state=State({"engine": appliance.engine, "metrics": appliance.metrics, "settings": appliance.settings}),
        exception_handlers={
            ImageError: refuse_image,
            Overloaded: refuse_for_now,
            ClientGone: forget,
            HTTPException: refuse_request,
            Exception: apologise,
        },
        lifespan=[lifespan],
        openapi_config=docs.openapi_config(appliance.release),
        request_max_body_size=appliance.settings.max_upload_bytes,
        logging_config=None,
    )


def _dependencies(appliance: Appliance) -> dict[str, object]:
    """What handlers may ask for by name."""
    return {
        "appliance": appliance,
        "beside": Beside(appliance.engine, appliance.follower, appliance.settings),
        "engine": appliance.engine,
        "feedback": appliance.feedback,
        "follower": appliance.follower,
        "metrics": appliance.metrics,
        "settings": appliance.settings,
    }


def _constant(value: object) -> Provide:
    return Provide(lambda: value, sync_to_thread=False, use_cache=True)
