"""Every refusal has one shape, `{status_code, detail}`, and one sentence that says what to do."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.openapi.datastructures import ResponseSpec

from runtime.admission import Overloaded
from runtime.batcher import ClientGone
from runtime.image import CorruptImage, ImageError, ImageTooLarge, UnsupportedImage
from runtime.metrics import Metrics

CLIENT_CLOSED_REQUEST = 499  # nginx's, which has no name in HTTPStatus

log = logging.getLogger(__name__)


class Problem(msgspec.Struct, frozen=True):
    """The body of a refusal."""

    status_code: int
    detail: str


IMAGE_STATUS: Mapping[type[ImageError], int] = {
    UnsupportedImage: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    ImageTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    CorruptImage: HTTPStatus.UNPROCESSABLE_ENTITY,
}


def documented(*statuses: HTTPStatus) -> dict[int, ResponseSpec]:
    """The refusals of a route, for its OpenAPI description."""
    return {
        int(status): ResponseSpec(Problem, description=status.phrase, generate_examples=False) for status in statuses
    }


def refuse_image(_: Request[Any, Any, Any], error: ImageError) -> Response[Problem]:
    """A photo that cannot be classified."""
    return _respond(IMAGE_STATUS[type(error)], str(error))


def turn_away(error: Overloaded, metrics: Metrics) -> tuple[Problem, str]:
    """What is said of a photo that would wait too long, and its Retry-After: nothing of it was computed."""
    metrics.rejections.labels(error.reason).inc()
    return Problem(int(HTTPStatus.SERVICE_UNAVAILABLE), str(error)), str(error.retry_after_s)


def refuse_for_now(request: Request[Any, Any, Any], error: Overloaded) -> Response[Problem]:
    """The same as an answer of the routes."""
    problem, retry_after = turn_away(error, request.app.state.metrics)
    response = _respond(problem.status_code, problem.detail)
    response.headers["retry-after"] = retry_after
    return response


def forget(request: Request[Any, Any, Any], _: ClientGone) -> Response[Problem]:
    """The client went away: nobody reads this answer, but the metrics have it."""
    metrics: Metrics = request.app.state.metrics
    metrics.rejections.labels("client_gone").inc()
    return _respond(CLIENT_CLOSED_REQUEST, "the client went away")


def refuse_request(request: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    """Anything else that the client can mend."""
    detail = error.detail
    if isinstance(error, RequestEntityTooLarge):
        limit = request.app.request_max_body_size
        detail = f"the request is larger than the {_megabytes(limit)} accepted; send a smaller photo"
    response = _respond(error.status_code, detail)
    response.headers.update(error.headers or {})
    return response


def apologise(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """A fault of ours: the stack goes to the log, not to the client."""
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _respond(HTTPStatus.INTERNAL_SERVER_ERROR, "the appliance failed; its log says why")


def _megabytes(size: object) -> str:
    return f"{size / 2**20:.0f} MiB" if isinstance(size, int) else "size"


def _respond(status: int, detail: str) -> Response[Problem]:
    return Response(Problem(int(status), detail), status_code=int(status), media_type="application/json")
