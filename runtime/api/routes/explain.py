"""POST /explain: class-activation map (heat map) of a photo."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Any, Literal

import numpy as np
from litestar import Request, Response, post
from litestar.exceptions import NotFoundException
from litestar.openapi.datastructures import ResponseSpec
from numpy.typing import NDArray
from PIL import Image

from runtime.api.header_text import header_text
from runtime.api.openapi.document import API_KEY
from runtime.api.openapi.operations import PhotoOperation
from runtime.api.problems import documented
from runtime.api.requests.accept import preferred
from runtime.api.requests.client import client_name
from runtime.api.requests.request_state import has_left
from runtime.api.requests.traffic import is_measurement
from runtime.api.requests.upload import photo_of, settings_of
from runtime.api.routes.heatmap import LONGEST_SIDE, evidence, heat_layer, over, png
from runtime.api.routes.predict import REFUSALS
from runtime.image import PhotoLimits, preview
from runtime.inference.predictions import Answer
from runtime.names import MAX_NAME, UNKNOWN, label_among
from runtime.serving.engine import Engine

_REFUSALS = REFUSALS | documented(HTTPStatus.NOT_FOUND)
PNG = "image/png"
_SHOWN = "In numbers; as image/png, the picture alone"


class Explanation(Answer, frozen=True, kw_only=True):
    """An answer, and the evidence for the label `explained`: rows from the top, 0..1, the strongest place is 1.

    `explained` is `(unknown)` where the evidence is that for none of the labels.
    """

    explained: str
    activation_map: list[list[float]]


@post(
    "/explain",
    status_code=HTTPStatus.OK,
    operation_class=PhotoOperation,
    responses={200: ResponseSpec(Explanation, description=_SHOWN, generate_examples=False)} | _REFUSALS,
    security=API_KEY,
    tags=["Predict"],
    summary="Show where in the photo the evidence lies",
)
async def explain(
    request: Request[Any, Any, Any],
    engine: Engine,
    label: str | None = None,
    layer: Literal["blend", "heat"] = "blend",
) -> Response[Any]:
    """Classify a photo and show the evidence for its label, or for another `label`; `(unknown)` is none of them.

    With `Accept: image/png` the answer is a picture: the photo under its heat (`layer=blend`), or the transparent heat
    alone (`layer=heat`), to be laid over the photo. Else it is numbers.
    """
    photo = await photo_of(request, engine)
    client, measured = client_name(request), is_measurement(request.scope)
    model, answer, activation_map = await engine.explain(
        photo, partial(has_left, request.scope), client, measured=measured
    )
    classes = model.manifest.classes
    explained = label_among(classes, label or answer.label or UNKNOWN)
    if explained is None:
        raise NotFoundException(f"there is no label {(label or '')[:MAX_NAME]!r}; choose {', '.join(classes)}")
    strength = evidence(activation_map[classes.index(explained)])
    if preferred(request.headers.get("accept", ""), ("application/json", PNG)) != PNG:
        rows = [[round(value, 4) for value in row] for row in strength.tolist()]
        return Response(Explanation(**_fields(answer), explained=explained, activation_map=rows))
    job = partial(_draw, photo, strength, layer, settings_of(request).photo_limits)
    picture = await engine.work(job, await engine.cost_of(photo), client)
    return Response(picture, media_type=PNG, headers=_headers(answer.label or UNKNOWN, explained))


def _headers(label: str, explained: str) -> dict[str, str]:
    return {"x-label": header_text(label), "x-explained": header_text(explained), "vary": "accept"}


def _draw(photo: bytes, strength: NDArray[np.float32], layer: Literal["blend", "heat"], limits: PhotoLimits) -> bytes:
    seen = Image.fromarray(preview(photo, LONGEST_SIDE, limits=limits))
    return png(heat_layer(strength, seen.size) if layer == "heat" else over(seen, strength))


def _fields(answer: Answer) -> dict[str, Any]:
    return {field: getattr(answer, field) for field in answer.__struct_fields__}
