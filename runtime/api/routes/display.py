"""What pages show of the product beside the manifest: its picture, and example photos of its classes.

The picture can neither run nor load anything. The photos are somebody's own: unless the operator lets everybody see
them, they are for administrators.
"""

from __future__ import annotations

import asyncio
from functools import partial
from http import HTTPStatus
from typing import Any

from litestar import Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import BaseRouteHandler

from runtime.api.openapi.document import API_KEY
from runtime.api.problems import documented
from runtime.api.security.guards import Connection, may_administer, may_predict
from runtime.host.deadline import in_daemon_thread
from runtime.serving.engine import Engine
from runtime.serving.examples import Examples

# Opened by itself, an SVG would be a page: it runs no script, loads nothing, and is of no origin.
PICTURE_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "x-content-type-options": "nosniff",
    "cache-control": "private, max-age=3600",
}


@get(
    "/model/picture",
    guards=[may_predict],
    security=API_KEY,
    responses=documented(HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND, HTTPStatus.TOO_MANY_REQUESTS),
    tags=["Model"],
    summary="Picture of the product",
)
async def picture(engine: Engine) -> Response[bytes]:
    """The SVG or PNG that the bundle has for pages; 404 if it has none."""
    found = engine.model.picture
    if found is None:
        raise NotFoundException("this model has no picture; `python -m export build --picture FILE` adds one")
    return Response(found.data, media_type=found.media_type, headers=PICTURE_HEADERS)


async def may_see_examples(connection: Connection, handler: BaseRouteHandler) -> None:
    """As to administer; where the operator shows examples to everybody, as to predict."""
    public = connection.app.state.settings.examples
    await (may_predict if public else may_administer)(connection, handler)


class ExamplesOnce:
    """Answers one request at a time: the others find what it has found."""

    def __init__(self, examples: Examples | None) -> None:
        """Without `examples` there are none."""
        self._examples = examples
        self._turn = asyncio.Lock()

    async def of(self, product: str, labels: list[str]) -> dict[str, list[str]]:
        """Thumbnails by label."""
        if self._examples is None:
            return {}
        async with self._turn:
            found = await in_daemon_thread(partial(self._examples.of, product, labels))
        return {label: list(some) for label, some in found.items()}


@get(
    "/model/examples",
    guards=[may_see_examples],
    security=API_KEY,
    responses=documented(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS),
    tags=["Model"],
    summary="Example photos of the classes",
)
async def examples(engine: Engine, shown: ExamplesOnce) -> Response[Any]:
    """Thumbnails of training photos by label, as data URIs; empty where the data store has none or is away."""
    found = await shown.of(engine.manifest.name, engine.manifest.labels)
    return Response({"examples": found}, headers={"cache-control": "no-store"})
