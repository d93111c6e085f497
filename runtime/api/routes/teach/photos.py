"""The photos of a dataset: sent, listed, labelled, removed; and undo."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from secrets import token_hex
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import Parameter

from runtime.api.openapi.document import ADMIN_KEY
from runtime.api.openapi.operations import PhotosToTeachOperation
from runtime.api.problems import documented
from runtime.api.requests.client import client_name
from runtime.api.requests.upload import sources_of
from runtime.api.routes.teach.refusals import MAX_IDS_BYTES, READING, SENDING, in_thread, too_large
from runtime.api.teaching.service import TeachingService
from runtime.teaching.workspace.photos import MOST_LISTED, Photos, cursor_of
from runtime.teaching.workspace.records import Added, Dataset, PhotoPage, Source

PATH = "/{dataset:str}/photos"
_UNCHANGED = {"cache-control": "private, max-age=86400, immutable", "x-content-type-options": "nosniff"}


class Sent(msgspec.Struct, frozen=True):
    """What became of each photo, in the order in which they were sent, and the dataset after it."""

    photos: list[Added]
    dataset: Dataset


class Chosen(msgspec.Struct, frozen=True):
    """Photos by their ids."""

    photos: list[str]


class Labelled(msgspec.Struct, frozen=True):
    """Photos by their ids, and the label that they get; null takes it away."""

    photos: list[str]
    label: str | None


@post(
    PATH,
    status_code=200,
    operation_class=PhotosToTeachOperation,
    responses=SENDING,
    security=ADMIN_KEY,
    summary="Add photos",
)
async def add(
    dataset: str,
    request: Request[Any, Any, Any],
    teaching: TeachingService,
    label: str | None = None,
    source: Source = "upload",
    name: str = "photo",
    batch: Annotated[str | None, Parameter(max_length=64)] = None,
) -> Sent:
    """Add one photo, the body, or those of a form, with a label or without; `name` is that of a body.

    Those that cannot be read are named and left out; one that is there already is not there twice. Undo takes back
    what one request has added; requests of one `batch`, any text, count as one.
    """
    workspace = await in_thread(partial(teaching.existing, dataset))
    await in_thread(partial(workspace.photos.check_target, dataset, label))
    sources = await sources_of(request, name, teaching.photos_at_once)
    keep = partial(workspace.photos.add, dataset, label=label, source=source, batch=batch or token_hex(8))
    photos = await teaching.intake.take(sources, keep, client_name(request))
    await in_thread(partial(teaching.came, [photo.outcome for photo in photos]))
    return Sent(photos, await in_thread(partial(teaching.dataset, dataset)))


@get(PATH, responses=READING | documented(HTTPStatus.BAD_REQUEST), security=ADMIN_KEY, summary="Photos of a dataset")
async def page(
    dataset: str,
    teaching: TeachingService,
    label: str | None = None,
    unlabelled: bool = False,
    removed: bool = False,
    after: str | None = None,
    limit: Annotated[int, Parameter(ge=1, le=MOST_LISTED)] = 200,
) -> PhotoPage:
    """List photos, oldest first: all, or those of a class, without a label, or removed; `after` is the last `next`."""

    def read() -> PhotoPage:
        return teaching.existing(dataset).photos.page(
            dataset,
            teaching.backbone_key,
            label=label,
            unlabelled=unlabelled,
            removed=removed,
            after=cursor_of(after),
            limit=limit,
        )

    return await in_thread(read)


@get(
    PATH + "/{photo:str}/thumbnail", responses=READING, security=ADMIN_KEY, summary="Thumbnail", media_type="image/jpeg"
)
async def thumbnail(dataset: str, photo: str, teaching: TeachingService) -> Response[bytes]:
    """A JPEG of at most 240 px a side."""

    def read() -> bytes:
        workspace = teaching.existing(dataset)
        workspace.photos.check(dataset, photo)
        return workspace.files.thumbnail(dataset, photo)

    return Response(await in_thread(read), media_type="image/jpeg", headers=_UNCHANGED)


@post(
    "/{dataset:str}/label",
    status_code=200,
    responses=SENDING,
    security=ADMIN_KEY,
    summary="Label photos",
    request_max_body_size=MAX_IDS_BYTES,
    exception_handlers=too_large(MAX_IDS_BYTES),
)
async def label(dataset: str, data: Labelled, teaching: TeachingService) -> Dataset:
    """Give photos a label, or take it away; removed ones are put back."""
    return await _change(teaching, dataset, lambda photos: photos.label(dataset, data.photos, data.label))


@post(
    "/{dataset:str}/remove",
    status_code=200,
    responses=SENDING,
    security=ADMIN_KEY,
    summary="Remove photos",
    request_max_body_size=MAX_IDS_BYTES,
    exception_handlers=too_large(MAX_IDS_BYTES),
)
async def remove(dataset: str, data: Chosen, teaching: TeachingService) -> Dataset:
    """Remove photos; undo brings them back."""
    return await _change(teaching, dataset, lambda photos: photos.remove(dataset, data.photos))


@post("/{dataset:str}/undo", status_code=200, responses=SENDING, security=ADMIN_KEY, summary="Undo")
async def undo(dataset: str, teaching: TeachingService) -> Dataset:
    """Take the last change back, one after the other; 409 if there is none."""
    return await in_thread(partial(teaching.undo, dataset))


async def _change(teaching: TeachingService, dataset: str, change: Callable[[Photos], None]) -> Dataset:
    def make() -> Dataset:
        change(teaching.existing(dataset).photos)
        return teaching.dataset(dataset)

    return await in_thread(make)


HANDLERS = (add, page, thumbnail, label, remove, undo)
