"""POST /feedback: a photo with its right label, for the next training."""

from __future__ import annotations

import asyncio
from functools import partial
from http import HTTPStatus
from typing import Any

from litestar import Request, post
from litestar.datastructures import UploadFile
from litestar.exceptions import ClientException, HTTPException, NotFoundException

from runtime.api.operations import FeedbackOperation
from runtime.api.predict import REFUSALS
from runtime.api.problems import documented
from runtime.api.upload import FIELD, promised_bytes, read_form
from runtime.engine import Engine
from runtime.feedback import Feedback, Receipt, SpoolFull
from runtime.image import decode, open_image
from runtime.settings import Settings

_HOW = f"send the photo as the multipart field `{FIELD}` and its right label as the field `label`"
MAX_TEXT = 100


@post(
    "/feedback",
    status_code=HTTPStatus.ACCEPTED,
    operation_class=FeedbackOperation,
    responses=REFUSALS | documented(HTTPStatus.NOT_FOUND),
    tags=["Predict"],
    summary="Keep a photo with its right label for the next training",
)
async def feedback(
    request: Request[Any, Any, Any], engine: Engine, settings: Settings, feedback: Feedback | None
) -> Receipt:
    """Keep a photo with its right label; it is never lost, but kept on this host while the store is away."""
    if feedback is None:
        raise HTTPException(
            "this appliance keeps no photos; its operator can set DANDELION_DATA",
            status_code=HTTPStatus.SERVICE_UNAVAILABLE,
        )
    with engine.line.holding(promised_bytes(request)):
        form = await read_form(request, _HOW)
        field, label = form.get(FIELD), form.get("label")
        if not isinstance(field, UploadFile) or not isinstance(label, str):
            raise ClientException(f"the form lacks the photo or the label; {_HOW}")
        labels = engine.manifest.labels
        if label not in labels:
            detail = f"there is no label {label[:MAX_TEXT]!r}; choose {', '.join(labels)}"
            raise NotFoundException(detail)
        photo = await field.read()
        format_ = await engine.work(partial(_checked_format, photo, engine, settings))
        keep = partial(
            feedback.keep,
            photo,
            format_,
            label,
            predicted=_text(form.get("predicted")),
            version=_text(form.get("version")),
        )
        try:
            return await asyncio.get_running_loop().run_in_executor(None, keep)
        except SpoolFull as error:
            raise HTTPException(
                str(error), status_code=HTTPStatus.SERVICE_UNAVAILABLE, headers={"retry-after": "60"}
            ) from error


def _checked_format(photo: bytes, engine: Engine, settings: Settings) -> str:
    """The format of a photo that decodes: a broken one would teach nothing."""
    decode(photo, engine.manifest.input, max_pixels=settings.max_pixels)
    return open_image(photo, max_pixels=settings.max_pixels).format or "photo"


def _text(value: Any) -> str | None:
    return value[:MAX_TEXT] if isinstance(value, str) and value else None
