"""The photo in a request: a multipart field `file`, or the raw body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar import Request
from litestar.datastructures import FormMultiDict, UploadFile
from litestar.exceptions import ClientException, HTTPException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType

from runtime.image import ACCEPTED, MEDIA_TYPES

FIELD = "file"
_HOW = f"send a {ACCEPTED} photo as the multipart field `{FIELD}`, or as the body with its image/… content type"


async def read_photo(request: Request[Any, Any, Any]) -> bytes:
    """The encoded photo of a request; raises HTTPException 400 or 415 with what to send instead."""
    content_type = request.content_type[0].lower()
    if content_type == "multipart/form-data":
        field = (await _form(request)).get(FIELD)
        if not isinstance(field, UploadFile):
            raise ClientException(f"the form has no file in the field `{FIELD}`; {_HOW}")
        return await field.read()
    if content_type.startswith("image/") or content_type == "application/octet-stream":
        return await request.body()
    what = (
        f"the content type {content_type[:60]!r} is not a photo" if content_type else "the request has no content type"
    )
    raise HTTPException(f"{what}; {_HOW}", status_code=415)


async def _form(request: Request[Any, Any, Any]) -> FormMultiDict:
    try:
        return await request.form()
    except RequestEntityTooLarge:
        raise
    except (ClientException, UnicodeDecodeError, LookupError) as error:
        # Litestar leaks the last two: a text field that does not decode, or names a charset that does not exist.
        raise ClientException(f"the form cannot be read; {_HOW}") from error


@dataclass
class PhotoOperation(Operation):
    """The OpenAPI description of a route that takes a photo either way."""

    def __post_init__(self) -> None:
        """Describe the body, which the handler reads by itself."""
        photo = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY, min_length=1)
        form = Schema(type=OpenAPIType.OBJECT, properties={FIELD: photo}, required=[FIELD])
        raw = (*MEDIA_TYPES, "application/octet-stream")
        self.request_body = RequestBody(
            content={"multipart/form-data": OpenAPIMediaType(schema=form)}
            | {media_type: OpenAPIMediaType(schema=photo) for media_type in raw},
            required=True,
        )
