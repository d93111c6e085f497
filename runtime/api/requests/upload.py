"""Uploads: read photos from multipart forms or raw bodies, after admission control."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

from litestar import Request
from litestar.datastructures import FormMultiDict, UploadFile
from litestar.exceptions import ClientException, HTTPException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge

from runtime.api.requests.form import NoFileName, TooManyParts, content_of, file_of, only_file, read_parts
from runtime.image import ACCEPTED
from runtime.serving.engine import Engine
from runtime.serving.monitoring.metrics import Metrics
from runtime.serving.settings import Settings

FORM = "multipart/form-data"
FIELD = "file"
FIELDS = ("files", FIELD)
_HOW = f"send a {ACCEPTED} photo as the multipart field `{FIELD}`, or as the body with its image/… content type"
_HOW_MANY = f"send {ACCEPTED} photos as multipart fields `{FIELDS[0]}`, one for each photo, at most {{}} at once"

AnyRequest = Request[Any, Any, Any]


class NamedPhoto(NamedTuple):
    """One file of a form."""

    name: str
    data: bytes


async def photo_of(request: AnyRequest, engine: Engine) -> bytes:
    """The encoded photo of a request.

    Raises Overloaded before a byte of it is read, and HTTPException 400 or 415 with what to send instead.
    """
    engine.admission.check_wait()
    with _timed(request.app.state.metrics):
        return await _read_photo(request)


async def photos_of(request: AnyRequest, engine: Engine) -> list[NamedPhoto]:
    """The photos of a form; raises as `photo_of` does.

    More than the settings' `max_photos` are refused with 413.
    """
    most = settings_of(request).max_photos
    engine.admission.check_wait()
    with _timed(request.app.state.metrics):
        return await _read_photos(request, most)


async def sources_of(request: AnyRequest, name: str, most: int) -> list[Callable[[], Awaitable[NamedPhoto]]]:
    """What reads each photo of a request: the body, which is called `name`, or the files of a form; one at a time.

    Raises HTTPException 400, 413 or 415 with what to send instead. An admission of its own is up to the caller.
    """
    if is_form(request.content_type[0]):
        return [partial(_read_file, field) for field in await _files_of(request, most)]
    photo = NamedPhoto(name, await _read_photo(request))

    async def read() -> NamedPhoto:
        return photo

    return [read]


async def _read_file(field: UploadFile) -> NamedPhoto:
    return NamedPhoto(field.filename, await content_of(field))


def settings_of(request: AnyRequest) -> Settings:
    """The settings of the appliance: asked of the app, because each injected dependency costs every request."""
    settings: Settings = request.app.state.settings
    return settings


def engine_of(request: AnyRequest) -> Engine:
    """The engine of the appliance, for the routes that everything else waits for; asked of the app as settings are."""
    engine: Engine = request.app.state.engine
    return engine


@contextmanager
def _timed(metrics: Metrics) -> Iterator[None]:
    """Measure the reading of a request, where it succeeds."""
    began = time.perf_counter()
    yield
    metrics.observe("read", time.perf_counter() - began)


def is_photo(content_type: str) -> bool:
    """Whether a body of this content type is a photo as it is."""
    return content_type.startswith("image/") or content_type == "application/octet-stream"


def is_form(content_type: str) -> bool:
    """Whether a body of this content type is a multipart form."""
    return content_type.partition(";")[0].strip().lower() == FORM


def photo_in_form(content_type: str, body: bytes) -> bytes:
    """The encoded photo of a form that has arrived; raises ClientException with what to send instead."""
    photo = only_file(content_type, body, FIELD)
    if photo is not None:
        return photo
    with _readable(_HOW):
        photo = file_of(content_type, body, FIELD, FIELDS)
    if photo is None:
        raise _no_file()
    return photo


def _no_file() -> ClientException:
    return ClientException(f"the form has no file in the field `{FIELD}`; {_HOW}")


async def _read_photo(request: AnyRequest) -> bytes:
    content_type = request.content_type[0].lower()
    if content_type == FORM:
        field = (await read_form(request, _HOW)).get(FIELD)
        if not isinstance(field, UploadFile):
            raise _no_file()
        return await content_of(field)
    if is_photo(content_type):
        return await request.body()
    what = (
        f"the content type {content_type[:60]!r} is not a photo" if content_type else "the request has no content type"
    )
    raise HTTPException(f"{what}; {_HOW}", status_code=415)


async def _read_photos(request: AnyRequest, most: int) -> list[NamedPhoto]:
    return [await _read_file(field) for field in await _files_of(request, most)]


async def _files_of(request: AnyRequest, most: int) -> list[UploadFile]:
    how = _HOW_MANY.format(most)
    if request.content_type[0].lower() != FORM:
        raise HTTPException(f"the request is not a multipart form; {how}", status_code=415)
    form = await read_form(request, how)
    fields = [field for name in FIELDS for field in form.getall(name, []) if isinstance(field, UploadFile)]
    if not fields:
        raise ClientException(f"the form has no file in the field `{FIELDS[0]}`; {how}")
    if len(fields) > most:
        raise HTTPException(f"the form has {len(fields)} photos; send at most {most} at once", status_code=413)
    return fields


async def read_form(request: AnyRequest, how: str) -> FormMultiDict:
    """The multipart form of a request; raises HTTPException 400 or 413 that ends with `how` to send one."""
    with _readable(how):
        return await read_parts(request, files=FIELDS)


@contextmanager
def _readable(how: str) -> Iterator[None]:
    """Say `how` to send a form where one cannot be read."""
    try:
        yield
    except RequestEntityTooLarge:
        raise
    except NoFileName as error:
        raise ClientException(f"{error.detail}; {how}") from error
    except TooManyParts as error:
        raise HTTPException(f"{error.detail}; {how}", status_code=413) from error
    except (ClientException, UnicodeDecodeError) as error:
        raise ClientException(f"the form cannot be read; {how}") from error
