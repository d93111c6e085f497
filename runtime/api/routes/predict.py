"""POST /predict and /predict/batch: classify one photo or many."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, post
from litestar.openapi.datastructures import ResponseSpec

from runtime.api.json import JsonResponse
from runtime.api.openapi.document import API_KEY
from runtime.api.openapi.operations import PhotoOperation, PhotosOperation
from runtime.api.problems import KEYED, Problem, documented, image_problem
from runtime.api.requests.client import client_name
from runtime.api.requests.request_state import has_left
from runtime.api.requests.traffic import is_measurement
from runtime.api.requests.upload import engine_of, photo_of, photos_of
from runtime.image import ImageError
from runtime.inference.predictions import Answer, ModelName, Prediction, Timings, milliseconds
from runtime.serving.engine import Engine

PATH = "/predict"
MANY_REFUSED = 16  # photos of one request

REFUSALS = documented(
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
REFUSALS |= KEYED
BATCH_REFUSALS = documented(
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
BATCH_REFUSALS |= KEYED


class Result(msgspec.Struct, frozen=True):
    """What became of one photo of a batch: a prediction, or why there is none."""

    name: str
    prediction: Prediction | None
    error: Problem | None


class BatchAnswer(msgspec.Struct, frozen=True):
    """The results in the order of the photos. `total` is of the whole request, the others sums over its photos."""

    model: ModelName
    results: list[Result]
    timings_ms: Timings


@post(
    PATH,
    status_code=200,
    operation_class=PhotoOperation,
    responses={
        HTTPStatus.OK: ResponseSpec(Answer, description="What the photo shows", generate_examples=False),
        **REFUSALS,
    },
    security=API_KEY,
    tags=["Predict"],
    summary="Classify one photo",
)
async def predict(request: Request[Any, Any, Any]) -> JsonResponse:
    """Classify one photo."""
    engine = engine_of(request)
    photo = await photo_of(request, engine)
    measured = is_measurement(request.scope)
    answer = await engine.answer(photo, partial(has_left, request.scope), client_name(request), measured=measured)
    return JsonResponse(answer)


@post(
    "/predict/batch",
    status_code=200,
    operation_class=PhotosOperation,
    responses=BATCH_REFUSALS,
    security=API_KEY,
    tags=["Predict"],
    summary="Classify many photos at once",
)
async def predict_batch(request: Request[Any, Any, Any], engine: Engine) -> BatchAnswer:
    """Classify many photos at once: each gets its own result or its own error."""
    began = time.perf_counter()
    photos = await photos_of(request, engine)
    measured = is_measurement(request.scope)
    batch = await engine.answer_many([photo.data for photo in photos], client_name(request), measured=measured)
    results = [_result(photo.name, answer) for photo, answer in zip(photos, batch.answers, strict=True)]
    if _is_vain(results):
        del photos  # nobody should hold them while waiting
        await request.app.state.key_check.before_refusal(request.scope)
    total_ms = milliseconds(time.perf_counter() - began)
    return BatchAnswer(
        batch.model, results, Timings(milliseconds(batch.decode_s), milliseconds(batch.infer_s), total_ms)
    )


def _is_vain(results: Sequence[Result]) -> bool:
    """Whether a request asked for much and got little: such requests are cheap to send, and many of them are slowed."""
    refused = sum(result.error is not None for result in results)
    return refused > MANY_REFUSED and 2 * refused > len(results)


def _result(name: str, answer: Prediction | ImageError) -> Result:
    if isinstance(answer, ImageError):
        return Result(name, None, image_problem(answer))
    return Result(name, answer, None)
