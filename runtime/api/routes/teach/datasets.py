"""Datasets: the overview, and one of them with its classes, its teaching and its report."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus

import msgspec
from litestar import delete, get, patch, post

from runtime.api.openapi.document import ADMIN_KEY
from runtime.api.problems import KEYED, documented
from runtime.api.routes.teach.refusals import CHANGING, MAX_JSON_BYTES, READING, SENDING, in_thread, too_large
from runtime.api.routes.teach.texts import NameText
from runtime.api.teaching.inbox.records import InboxState
from runtime.api.teaching.service import BackbonePart, TeachingService
from runtime.serving.settings import Settings
from runtime.teaching.example_sets.loading import example_sets
from runtime.teaching.teach import MIN_PHOTOS
from runtime.teaching.workspace.records import Dataset, DatasetSummary, ExampleSet


class Limits(msgspec.Struct, frozen=True):
    """How many photos a dataset may have, the bytes of one request, and the photos that a class must have."""

    photos: int
    photo_bytes: int
    least_per_class: int


class Overview(msgspec.Struct, frozen=True):
    """What there is to teach from. `backbone` is null if this appliance has none, and cannot teach."""

    backbone: BackbonePart | None
    datasets: list[DatasetSummary]
    examples: list[ExampleSet]
    limits: Limits
    inbox: InboxState


class Named(msgspec.Struct, frozen=True):
    """The name of a dataset."""

    name: NameText


@get("/", responses=KEYED | documented(HTTPStatus.SERVICE_UNAVAILABLE), security=ADMIN_KEY, summary="Overview")
async def overview(teaching: TeachingService, settings: Settings) -> Overview:
    """List the datasets, and say what can be taught here."""
    datasets = await in_thread(teaching.datasets)
    limits = Limits(settings.teach_photos, settings.max_upload_bytes, MIN_PHOTOS)
    inbox = await in_thread(teaching.inbox.state)
    return Overview(await in_thread(teaching.backbone), datasets, example_sets(), limits, inbox)


@post(
    "/",
    responses=SENDING,
    security=ADMIN_KEY,
    summary="New dataset",
    request_max_body_size=MAX_JSON_BYTES,
    exception_handlers=too_large(MAX_JSON_BYTES),
)
async def create(data: Named, teaching: TeachingService) -> Dataset:
    """Begin a dataset, without classes and photos."""

    def make() -> Dataset:
        return teaching.dataset(teaching.workspace().datasets.create(data.name))

    return await in_thread(make)


@get("/{dataset:str}", responses=READING, security=ADMIN_KEY, summary="One dataset")
async def show(dataset: str, teaching: TeachingService) -> Dataset:
    """Describe a dataset: classes, photos, the teaching that runs, the last report."""
    return await in_thread(partial(teaching.dataset, dataset))


@patch(
    "/{dataset:str}",
    responses=SENDING,
    security=ADMIN_KEY,
    summary="Rename a dataset",
    request_max_body_size=MAX_JSON_BYTES,
    exception_handlers=too_large(MAX_JSON_BYTES),
)
async def rename(dataset: str, data: Named, teaching: TeachingService) -> Dataset:
    """Give a dataset another name."""

    def change() -> Dataset:
        teaching.existing(dataset).datasets.rename(dataset, data.name)
        return teaching.dataset(dataset)

    return await in_thread(change)


@delete("/{dataset:str}", responses=CHANGING, security=ADMIN_KEY, summary="Delete a dataset")
async def remove(dataset: str, teaching: TeachingService) -> None:
    """Delete a dataset with all its photos, for good; what it taught and is served stays."""
    await in_thread(partial(teaching.delete, dataset))


HANDLERS = (overview, create, show, rename, remove)
