"""Error responses: one JSON problem, `{status_code, detail}`, for each exception, counted and logged in one place."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException, ValidationException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.openapi.datastructures import ResponseSpec

from runtime.errors import one_line
from runtime.image import CorruptImage, ImageError, ImageTooLarge, UnsupportedImage
from runtime.names import plain
from runtime.serving.monitoring.metrics import Metrics
from runtime.serving.scheduling.admission import Overloaded
from runtime.serving.scheduling.batcher import ClientGone
from runtime.serving.scheduling.scheduler import RequestTooCostly
from runtime.serving.settings import Settings

MAX_SHOWN = 100  # characters of a path in an answer
PROTOCOL = "/v2"  # where the Open Inference Protocol begins, which has a refusal of its own shape
CLIENT_CLOSED_REQUEST = 499  # nginx's, which has no name in HTTPStatus

log = logging.getLogger(__name__)


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of an error response.

    Where a photo is refused, `code` names the reason for programs, and `values` hold what `detail` tells of it.
    """

    status_code: int
    detail: str
    code: str = ""
    values: dict[str, str | float] = {}


class Fault(msgspec.Struct, frozen=True):
    """The body of an error response below PROTOCOL, as the protocol has it."""

    error: str


class ErrorResponse(NamedTuple):
    """An error response, for Litestar or the fast path to send; `headers` come on top of those of any JSON."""

    problem: Problem
    headers: Mapping[str, str]


IMAGE_STATUS: Mapping[type[ImageError], int] = {
    UnsupportedImage: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    ImageTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    CorruptImage: HTTPStatus.UNPROCESSABLE_ENTITY,
}


def image_problem(error: ImageError) -> Problem:
    """What is wrong with a photo."""
    return Problem(int(IMAGE_STATUS[type(error)]), str(error), error.code, dict(error.values))


def documented(*statuses: HTTPStatus) -> dict[int, ResponseSpec]:
    """The error responses of a route, for its OpenAPI description."""
    return {
        int(status): ResponseSpec(Problem, description=status.phrase, generate_examples=False) for status in statuses
    }


KEYED = documented(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)


def body_of(problem: Problem, path: str) -> Problem | Fault:
    """The body of an error response of `path`, in the shape that its clients expect."""
    protocol = path == PROTOCOL or path.startswith(PROTOCOL + "/")
    return Fault(problem.detail) if protocol else problem


def handle_exception(request: Request[Any, Any, Any], error: Exception) -> Response[Problem | Fault]:
    """The exception handler of the Litestar app."""
    state = request.app.state
    problem, headers = error_response(error, request.method, request.url.path, state.metrics, state.settings)
    body = body_of(problem, request.url.path)
    return Response(body, status_code=problem.status_code, media_type="application/json", headers=headers)


def error_response(error: Exception, method: str, path: str, metrics: Metrics, settings: Settings) -> ErrorResponse:
    """What a client is told of `error`, which `method` on `path` raised.

    Load shedding and clients that went away are counted in `metrics`. A fault of ours is logged with its stack, of
    which the client sees nothing.
    """
    match error:
        case Overloaded():
            metrics.rejections.labels(error.reason).inc()
            retry_after = {"retry-after": str(error.retry_after_s)}
            return _response(HTTPStatus.SERVICE_UNAVAILABLE, str(error), retry_after)
        case RequestTooCostly():
            metrics.rejections.labels("cost").inc()
            return _response(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(error))
        case ImageError():
            if isinstance(error, ImageTooLarge):
                metrics.rejections.labels("pixels").inc()
            return ErrorResponse(image_problem(error), {})
        case ClientGone():  # nobody reads this response, but the metrics have it
            metrics.rejections.labels("client_gone").inc()
            return _response(CLIENT_CLOSED_REQUEST, "the client went away")
        case HTTPException():
            return _http_response(error, path, settings.max_upload_bytes)
    log.error("%s %r failed", method, path, exc_info=error)
    return _response(HTTPStatus.INTERNAL_SERVER_ERROR, "the appliance failed; its log says why")


def _http_response(error: HTTPException, path: str, max_upload_bytes: int) -> ErrorResponse:
    """What the client can mend: Litestar's own exceptions, and ours for the upload and the keys."""
    detail, status = error.detail, error.status_code
    if isinstance(error, ValidationException) and _is_of_path(error):
        detail, status = f"there is no {path[:MAX_SHOWN]!r}", HTTPStatus.NOT_FOUND
    elif isinstance(error.__cause__, msgspec.ValidationError):
        detail = one_line(f"{detail}: {plain(error.__cause__)}")
    if isinstance(error, RequestEntityTooLarge):
        limit = round(max_upload_bytes / 2**20)
        detail = f"the request is larger than the {limit} MiB accepted; send a smaller photo"
        return ErrorResponse(Problem(int(status), detail, "bytes", {"most": limit}), {})
    if isinstance(error, NotFoundException) and detail == HTTPStatus.NOT_FOUND.phrase:  # Litestar's own word
        detail = f"there is no {path[:MAX_SHOWN]!r}"
    headers = dict(error.headers or {})
    if isinstance(error, MethodNotAllowedException) and "GET" in headers.get("allow", headers.get("Allow", "")):
        headers = {"allow": f"{headers.get('allow', headers.get('Allow'))}, HEAD"}
    return _response(status, detail, headers)


def _is_of_path(error: ValidationException) -> bool:
    """Whether a path parameter has no valid value: there is no such resource."""
    faults = error.extra if isinstance(error.extra, list) else []
    return any(isinstance(fault, dict) and fault.get("source") == "path" for fault in faults)


def _response(status: int, detail: str, headers: Mapping[str, str] | None = None) -> ErrorResponse:
    return ErrorResponse(Problem(int(status), detail), headers or {})
