"""The inbox: photos of doubtful answers and corrections of users; listed, accepted with a label, rejected, deleted."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.params import Parameter

from runtime.api.openapi.document import ADMIN_KEY
from runtime.api.problems import documented
from runtime.api.requests.client import client_name
from runtime.api.routes.teach.refusals import CHANGING, MAX_IDS_BYTES, READING, SENDING, in_thread, too_large
from runtime.api.routes.teach.texts import LabelText
from runtime.api.teaching.inbox.acceptance import Target, Waiting
from runtime.api.teaching.inbox.records import Deleted, InboxPage, InboxState, Kind
from runtime.api.teaching.service import TeachingService
from runtime.host.deadline import in_daemon_thread
from runtime.image import ImageError
from runtime.teaching.workspace.errors import NotThere
from runtime.teaching.workspace.photos import MOST_LISTED
from runtime.teaching.workspace.records import Added
from runtime.teaching.workspace.workspace import Workspace

PATH = "/inbox"
_HEADERS = {"cache-control": "private, max-age=300", "x-content-type-options": "nosniff"}
_OFF = documented(HTTPStatus.CONFLICT)


class Chosen(msgspec.Struct, frozen=True):
    """Photos by their ids in the inbox."""

    photos: list[str]


class Accepted(msgspec.Struct, frozen=True):
    """Photos by their ids in the inbox, and the label that they get; null is none of the classes.

    `dataset` is the one that they join.
    """

    photos: list[str]
    label: LabelText | None
    dataset: str | None = None


class Reviewed(msgspec.Struct, frozen=True):
    """What became of each photo, by its id in the inbox as its name; and the inbox after it.

    `gone` is how many were not there any more: somebody else was faster, or they were too old.
    """

    photos: list[Added]
    gone: int
    state: InboxState


class Rejected(msgspec.Struct, frozen=True):
    """How many photos were rejected, and the inbox after it."""

    rejected: int
    state: InboxState


@get(
    PATH,
    responses=READING | _OFF | documented(HTTPStatus.BAD_REQUEST),
    security=ADMIN_KEY,
    summary="Photos that wait for a label",
)
async def page(
    teaching: TeachingService,
    kind: Kind | None = None,
    after: str | None = None,
    limit: Annotated[int, Parameter(ge=1, le=MOST_LISTED)] = 200,
) -> InboxPage:
    """List what waits, the newest first, corrections before all others; `after` is the last `next`.

    409 if nothing is kept here: it says which setting allows it.
    """
    return await in_daemon_thread(partial(teaching.inbox.page, kind, after, limit))


@get(
    PATH + "/{photo:str}/thumbnail",
    responses=READING | _OFF,
    security=ADMIN_KEY,
    summary="Thumbnail of a photo that waits",
    media_type="image/jpeg",
)
async def thumbnail(photo: str, request: Request[Any, Any, Any], teaching: TeachingService) -> Response[bytes]:
    """A JPEG of at most 240 px a side; it is kept nowhere."""

    def read() -> bytes:
        found = teaching.inbox.find([photo])
        return teaching.inbox.read(found[photo]) if photo in found else b""

    data = await in_daemon_thread(read)
    try:
        made = await teaching.intake.decode(photo, data, client_name(request))
    except ImageError as error:
        raise NotThere(f"there is no photo {photo[:70]!r} in the inbox; load it again") from error
    return Response(made.thumbnail, media_type="image/jpeg", headers=_HEADERS)


@post(
    PATH + "/accept",
    status_code=200,
    responses=SENDING,
    security=ADMIN_KEY,
    summary="Accept photos with a label",
    request_max_body_size=MAX_IDS_BYTES,
    exception_handlers=too_large(MAX_IDS_BYTES),
)
async def accept(data: Accepted, request: Request[Any, Any, Any], teaching: TeachingService) -> Reviewed:
    """Let photos join a dataset and, if there is a data store, the next training of the model that answered.

    A label that this model lacks joins the dataset alone. A correction is accepted as it is if the label is the one
    that its user gave; else it is rejected, and the photo is accepted with the right one.
    """

    def find() -> tuple[dict[str, Waiting], Target, Workspace | None]:
        teaching.inbox.withdraw()
        found = teaching.inbox.find(data.photos)
        workspace = teaching.existing(data.dataset) if data.dataset is not None else None
        return found, teaching.acceptance.target(workspace, data.label, data.dataset), workspace

    found, target, workspace = await in_daemon_thread(find)
    photos = await teaching.acceptance.accept(found, target, workspace, client_name(request))
    if data.dataset is not None:
        teaching.came([photo.outcome for photo in photos])
    return Reviewed(photos, len(set(data.photos) - found.keys()), await _changed(teaching))


@post(
    PATH + "/reject",
    status_code=200,
    responses=SENDING,
    security=ADMIN_KEY,
    summary="Delete photos, reject corrections",
    request_max_body_size=MAX_IDS_BYTES,
    exception_handlers=too_large(MAX_IDS_BYTES),
)
async def reject(data: Chosen, teaching: TeachingService) -> Rejected:
    """Delete photos, and keep corrections out of any training. What is not there any more is no error."""
    rejected = await in_daemon_thread(partial(teaching.inbox.reject, data.photos))
    return Rejected(rejected, await _changed(teaching))


@delete(PATH, status_code=200, responses=CHANGING, security=ADMIN_KEY, summary="Delete all of the inbox")
async def delete_all(teaching: TeachingService) -> Deleted:
    """Delete all that waits, and what had joined datasets and the data store from here; for good.

    The answer says which versions learned from photos of the inbox: these know what they learned until others serve.
    """
    return await in_daemon_thread(teaching.delete_inbox)


async def _changed(teaching: TeachingService) -> InboxState:
    def count() -> InboxState:
        teaching.inbox.changed()
        return teaching.inbox.state()

    return await in_thread(count)


HANDLERS = (page, thumbnail, accept, reject, delete_all)
