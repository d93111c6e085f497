"""The Litestar app: routes, refusals, documents, metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from litestar import Litestar, get
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.response import Redirect

from runtime.admission import Overloaded
from runtime.api import docs, health
from runtime.api.explain import explain
from runtime.api.observe import ObserveRequests
from runtime.api.predict import predict, predict_batch
from runtime.api.problems import apologise, forget, refuse_for_now, refuse_image, refuse_request
from runtime.engine import ClientGone, Engine
from runtime.image import ImageError
from runtime.metrics import Metrics
from runtime.settings import Settings


@get("/", include_in_schema=False)
async def home() -> Redirect:
    """Show a person who opens the appliance in a browser what it can do."""
    return Redirect(docs.PATH)


def create_app(engine: Engine, settings: Settings, metrics: Metrics) -> Litestar:
    """The appliance's HTTP interface to an engine, which it closes when it shuts down."""

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        yield
        engine.close()

    return Litestar(
        route_handlers=[
            home,
            predict,
            predict_batch,
            explain,
            health.health,
            health.live,
            health.ready,
            health.model,
            health.metrics,
            docs.asset,
        ],
        dependencies={
            "engine": Provide(lambda: engine, sync_to_thread=False, use_cache=True),
            "metrics": Provide(lambda: metrics, sync_to_thread=False, use_cache=True),
            "settings": Provide(lambda: settings, sync_to_thread=False, use_cache=True),
        },
        state=State({"metrics": metrics, "settings": settings}),
        exception_handlers={
            ImageError: refuse_image,
            Overloaded: refuse_for_now,
            ClientGone: forget,
            HTTPException: refuse_request,
            Exception: apologise,
        },
        middleware=[ObserveRequests(metrics)],
        lifespan=[lifespan],
        openapi_config=docs.openapi_config(version("dandelion")),
        request_max_body_size=settings.max_upload_bytes,
        logging_config=None,
    )
