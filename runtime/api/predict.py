"""POST /predict."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from litestar import Request, post

from runtime.api.problems import documented
from runtime.api.upload import PhotoOperation, read_photo
from runtime.engine import Answer, Engine
from runtime.metrics import Metrics

REFUSALS = documented(
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)


@post(
    "/predict",
    status_code=200,
    operation_class=PhotoOperation,
    responses=REFUSALS,
    tags=["Predict"],
    summary="Classify one photo",
)
async def predict(request: Request[Any, Any, Any], engine: Engine, metrics: Metrics) -> Answer:
    """Classify one photo."""
    answer = await engine.answer(await read_photo(request))
    metrics.count(answer)
    return answer
