"""Teaching over HTTP: begin, cancel, try what was learned beside what serves, serve it or throw it away."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, delete, post

from runtime.api.openapi.document import ADMIN_KEY
from runtime.api.openapi.operations import PhotoOperation
from runtime.api.problems import documented
from runtime.api.requests.client import client_name
from runtime.api.requests.upload import photo_of
from runtime.api.routes.predict import REFUSALS as PHOTO_REFUSALS
from runtime.api.routes.teach.refusals import CHANGING, MAX_JSON_BYTES, SENDING, in_thread, too_large
from runtime.api.teaching.candidate import CandidateModel, Tried
from runtime.api.teaching.service import TeachingService
from runtime.host.deadline import in_daemon_thread
from runtime.serving.engine import Engine
from runtime.serving.taught.publisher import Offered
from runtime.teaching.workspace.records import Dataset


class Chosen(msgspec.Struct, frozen=True):
    """The name of an example set."""

    set: str


@post("/{dataset:str}/train", status_code=202, responses=CHANGING, security=ADMIN_KEY, summary="Teach")
async def train(dataset: str, teaching: TeachingService) -> Dataset:
    """Teach what the labelled photos show; `run` says how far it is. 409 names what is missing."""
    return await in_thread(partial(teaching.train, dataset))


@delete("/{dataset:str}/train", status_code=200, responses=CHANGING, security=ADMIN_KEY, summary="Cancel the teaching")
async def cancel(dataset: str, teaching: TeachingService) -> Dataset:
    """Cancel a teaching that waits or runs; what was taught before stays."""
    return await in_thread(partial(teaching.cancel, dataset))


@post(
    "/{dataset:str}/try",
    status_code=200,
    operation_class=PhotoOperation,
    responses=CHANGING | PHOTO_REFUSALS,
    security=ADMIN_KEY,
    summary="Try the taught model",
)
async def try_(
    dataset: str, request: Request[Any, Any, Any], engine: Engine, teaching: TeachingService, candidate: CandidateModel
) -> Tried:
    """Classify one photo by the taught model and by the one that serves; it is not counted."""
    workspace = await in_thread(partial(teaching.existing, dataset))
    await in_thread(partial(workspace.datasets.version_of, dataset))
    photo = await photo_of(request, engine)
    return await candidate.answer(workspace, dataset, photo, client_name(request))


@post("/{dataset:str}/serve", status_code=200, responses=CHANGING, security=ADMIN_KEY, summary="Serve the taught model")
async def serve(dataset: str, teaching: TeachingService) -> Offered:
    """Publish the taught model, and serve it at once."""
    return await in_daemon_thread(partial(teaching.serve, dataset))


@delete("/{dataset:str}/model", status_code=200, responses=CHANGING, security=ADMIN_KEY, summary="Throw it away")
async def discard(dataset: str, teaching: TeachingService) -> Dataset:
    """Throw the taught model and its report away; photos and labels stay, and so does what is served."""
    return await in_thread(partial(teaching.discard, dataset))


@post(
    "/{dataset:str}/examples",
    status_code=202,
    responses=SENDING | documented(HTTPStatus.NOT_FOUND),
    security=ADMIN_KEY,
    summary="Load example photos",
    request_max_body_size=MAX_JSON_BYTES,
    exception_handlers=too_large(MAX_JSON_BYTES),
)
async def examples(dataset: str, data: Chosen, teaching: TeachingService) -> Dataset:
    """Load an example set into the dataset; `loading` says how far it is."""
    return await in_thread(partial(teaching.load_examples, dataset, data.set))


HANDLERS = (train, cancel, try_, serve, discard, examples)
