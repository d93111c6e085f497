"""The classes of a dataset. A label is never in a path: it may be of any language, with blanks."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from litestar import delete, patch, put

from runtime.api.openapi.document import ADMIN_KEY
from runtime.api.routes.teach.refusals import MAX_JSON_BYTES, SENDING, in_thread, too_large
from runtime.api.routes.teach.texts import LabelText
from runtime.api.teaching.service import TeachingService
from runtime.teaching.workspace.datasets import Datasets
from runtime.teaching.workspace.records import Dataset

PATH = "/{dataset:str}/classes"


class ClassLabel(msgspec.Struct, frozen=True):
    """The label of a class."""

    label: LabelText


class NewLabel(msgspec.Struct, frozen=True):
    """A class, and the label that it gets."""

    label: LabelText
    to: LabelText


@put(
    PATH,
    responses=SENDING,
    security=ADMIN_KEY,
    summary="New class",
    request_max_body_size=MAX_JSON_BYTES,
    exception_handlers=too_large(MAX_JSON_BYTES),
)
async def add(dataset: str, data: ClassLabel, teaching: TeachingService) -> Dataset:
    """Add a class; 409 if there is one alike."""
    return await _change(teaching, dataset, lambda datasets: datasets.add_class(dataset, data.label))


@patch(
    PATH,
    responses=SENDING,
    security=ADMIN_KEY,
    summary="Rename a class",
    request_max_body_size=MAX_JSON_BYTES,
    exception_handlers=too_large(MAX_JSON_BYTES),
)
async def rename(dataset: str, data: NewLabel, teaching: TeachingService) -> Dataset:
    """Give a class another label; 409 if there is one alike."""
    return await _change(teaching, dataset, lambda datasets: datasets.rename_class(dataset, data.label, data.to))


@delete(
    PATH,
    status_code=200,
    responses=SENDING,
    security=ADMIN_KEY,
    summary="Delete a class",
    request_max_body_size=MAX_JSON_BYTES,
    exception_handlers=too_large(MAX_JSON_BYTES),
)
async def remove(dataset: str, data: ClassLabel, teaching: TeachingService) -> Dataset:
    """Delete a class; its photos stay, without a label."""
    return await _change(teaching, dataset, lambda datasets: datasets.delete_class(dataset, data.label))


async def _change(teaching: TeachingService, dataset: str, change: Callable[[Datasets], None]) -> Dataset:
    def make() -> Dataset:
        change(teaching.existing(dataset).datasets)
        return teaching.dataset(dataset)

    return await in_thread(make)


HANDLERS = (add, rename, remove)
