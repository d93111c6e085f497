"""POST /feedback: a corrected photo for the next training; rate limits are answered with 429 or 503."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple, TypeVar

from litestar import Request, post
from litestar.datastructures import UploadFile
from litestar.exceptions import ClientException, HTTPException, NotFoundException

from runtime.api.openapi.document import API_KEY
from runtime.api.openapi.operations import FeedbackOperation
from runtime.api.problems import documented
from runtime.api.requests.client import client_of
from runtime.api.requests.form import content_of
from runtime.api.requests.upload import FIELD, read_form
from runtime.api.routes.predict import REFUSALS
from runtime.bundle.manifest import Manifest
from runtime.image import decode, inspect
from runtime.names import UNKNOWN, label_among
from runtime.serving.engine import Engine
from runtime.serving.feedback import ClientLimit, Feedback, FeedbackFull, NotKept, Receipt, SpoolFailed
from runtime.serving.settings import Settings

_HOW = f"send the photo as the multipart field `{FIELD}` and its right label as the field `label`"
_REFUSALS = documented(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS)
MAX_TEXT = 100
_STATUS: Mapping[type[NotKept], HTTPStatus] = {
    FeedbackFull: HTTPStatus.SERVICE_UNAVAILABLE,
    ClientLimit: HTTPStatus.TOO_MANY_REQUESTS,
    SpoolFailed: HTTPStatus.SERVICE_UNAVAILABLE,
}

T = TypeVar("T")


class _Sent(NamedTuple):
    """What a form says."""

    photo: bytes
    label: str
    predicted: str | None
    version: str | None


@post(
    "/feedback",
    status_code=HTTPStatus.ACCEPTED,
    operation_class=FeedbackOperation,
    responses=REFUSALS | _REFUSALS,
    security=API_KEY,
    tags=["Predict"],
    summary="Keep a photo with its right label for the next training",
)
async def feedback(
    request: Request[Any, Any, Any], engine: Engine, settings: Settings, feedback: Feedback | None
) -> Receipt:
    """Keep a photo with its right label; it is spooled on this host while the store is unreachable.

    The label of a photo of none of the labels is `(unknown)`, whether the model has that answer yet or not.
    `product` is the name of the model that classified it: 409 if another product serves by now.
    """
    if feedback is None:
        raise HTTPException(
            "this appliance keeps no photos; its operator can set DANDELION_DATA",
            status_code=HTTPStatus.SERVICE_UNAVAILABLE,
        )
    engine.admission.check_wait()
    manifest = engine.manifest
    sent = await _read(request, manifest)
    client = client_of(request.scope, settings.trusted_proxies) or ""
    room = await _run_blocking(partial(feedback.reserve, *sent, client=client, product=manifest.name))
    try:
        job = partial(_checked_format, sent.photo, engine, settings)
        format_ = await engine.work(job, await engine.cost_of(sent.photo), lambda: client)
        return await _run_blocking(partial(feedback.keep, room, sent.photo, format_))
    finally:
        feedback.release(room)


async def _read(request: Request[Any, Any, Any], manifest: Manifest) -> _Sent:
    """All of the form, before any limit is asked: whether a photo is there already is seen by its content alone."""
    form = await read_form(request, _HOW)
    field, label = form.get(FIELD), form.get("label")
    if not isinstance(field, UploadFile) or not isinstance(label, str):
        raise ClientException(f"the form lacks the photo or the label; {_HOW}")
    product = _text(form.get("product"))
    if product not in (None, manifest.name):
        detail = f"the photo was classified by {product!r}, but {manifest.name!r} serves now; classify it again"
        raise HTTPException(detail, status_code=HTTPStatus.CONFLICT)
    known = label_among([*manifest.labels, UNKNOWN], label)
    if known is None:
        choices = ", ".join(manifest.labels)
        detail = f"there is no label {label[:MAX_TEXT]!r}; choose {choices}, or {UNKNOWN} for none of them"
        raise NotFoundException(detail)
    return _Sent(await content_of(field), known, _text(form.get("predicted")), _text(form.get("version")))


async def _run_blocking(job: Callable[[], T]) -> T:
    """Run a blocking store call in a thread. Raises HTTPException 429 or 503 if the photo is not kept."""
    try:
        return await asyncio.get_running_loop().run_in_executor(None, job)
    except NotKept as error:
        headers = {"retry-after": str(error.retry_after_s)}
        raise HTTPException(str(error), status_code=_STATUS[type(error)], headers=headers) from error


def _checked_format(photo: bytes, engine: Engine, settings: Settings) -> str:
    """The format of a photo that decodes: a broken one would teach nothing."""
    decode(photo, engine.manifest.input, limits=settings.photo_limits)
    return inspect(photo).image.format or "photo"


def _text(value: Any) -> str | None:
    return value[:MAX_TEXT] if isinstance(value, str) and value else None
