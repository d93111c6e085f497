"""OpenAPI request bodies of handlers that read the body themselves."""

from __future__ import annotations

from dataclasses import dataclass

from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType

from runtime.api.requests.upload import FIELD, FIELDS
from runtime.image import MEDIA_TYPES
from runtime.names import UNKNOWN

_PHOTO = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY, min_length=1)
_RAW = (*MEDIA_TYPES, "application/octet-stream")


@dataclass
class PhotoOperation(Operation):
    """A route that takes one photo, as a form field or as the body."""

    def __post_init__(self) -> None:
        """Describe the body."""
        form = Schema(type=OpenAPIType.OBJECT, properties={FIELD: _PHOTO}, required=[FIELD])
        self.request_body = RequestBody(
            content={"multipart/form-data": OpenAPIMediaType(schema=form)}
            | {media_type: OpenAPIMediaType(schema=_PHOTO) for media_type in _RAW},
            required=True,
        )


@dataclass
class PhotosOperation(Operation):
    """A route that takes a form of many photos."""

    def __post_init__(self) -> None:
        """Describe the form."""
        # An empty or broken photo is no fault of the request: it gets an error of its own.
        any_file = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
        many = Schema(type=OpenAPIType.ARRAY, items=any_file, min_items=1)
        form = Schema(type=OpenAPIType.OBJECT, properties={FIELDS[0]: many}, required=[FIELDS[0]])
        self.request_body = RequestBody(content={"multipart/form-data": OpenAPIMediaType(schema=form)}, required=True)


@dataclass
class PhotosToTeachOperation(Operation):
    """A route that takes one photo as the body, or a form of many."""

    def __post_init__(self) -> None:
        """Describe the body."""
        any_file = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
        many = Schema(type=OpenAPIType.ARRAY, items=any_file, min_items=1)
        form = Schema(type=OpenAPIType.OBJECT, properties={FIELDS[0]: many}, required=[FIELDS[0]])
        self.request_body = RequestBody(
            content={"multipart/form-data": OpenAPIMediaType(schema=form)}
            | {media_type: OpenAPIMediaType(schema=any_file) for media_type in _RAW},
            required=True,
        )


@dataclass
class FeedbackOperation(Operation):
    """A route that takes a photo with its right label."""

    def __post_init__(self) -> None:
        """Describe the form."""
        text = Schema(type=OpenAPIType.STRING)
        label = Schema(type=OpenAPIType.STRING, description=f"One of the labels, or {UNKNOWN} for none of them")
        properties = {FIELD: _PHOTO, "label": label, "predicted": text, "version": text, "product": text}
        form = Schema(type=OpenAPIType.OBJECT, properties=dict(properties), required=[FIELD, "label"])
        self.request_body = RequestBody(content={"multipart/form-data": OpenAPIMediaType(schema=form)}, required=True)
