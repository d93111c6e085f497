"""Model registry API: list versions; admin actions: load, pin, roll back; side-by-side comparison."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from http import HTTPStatus
from typing import Any, Literal

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.exceptions import HTTPException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.openapi.datastructures import ResponseSpec

from runtime.api.openapi.document import ADMIN_KEY, API_KEY
from runtime.api.openapi.operations import PhotoOperation
from runtime.api.problems import Problem, documented
from runtime.api.requests.client import client_name
from runtime.api.requests.upload import photo_of
from runtime.api.routes.predict import REFUSALS as PHOTO_REFUSALS
from runtime.api.security.guards import Admission, admission_of, may_administer, may_predict
from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import MANIFEST, BundleError, read_manifest
from runtime.errors import Refusal
from runtime.host.deadline import in_daemon_thread
from runtime.inference.predictions import Answer
from runtime.names import Version
from runtime.registry.cache import Cache
from runtime.registry.state import State
from runtime.registry.summary import NEWEST, Summary, summary_of
from runtime.serving.engine import Engine
from runtime.serving.versions.bundle_source import UnknownVersion
from runtime.serving.versions.comparison import ComparisonModel
from runtime.serving.versions.disk import DiskRefused
from runtime.serving.versions.reloader import Reloader
from runtime.store import StoreError

MAX_PIN_BYTES = 4096  # of JSON that names a version
ANSWER_S = 10.0  # a change that takes longer goes on, and is answered with 202

Status = Literal["serving", "available", "trying", "refused"]

log = logging.getLogger(__name__)

REFUSALS = documented(
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.INSUFFICIENT_STORAGE,
)


class StoreState(msgspec.Struct, frozen=True):
    """Whether the last poll reached the store, and its error if not."""

    reachable: bool
    detail: str


class VersionDescription(Summary, frozen=True):
    """One version and its status here; `trying` means that it is being validated in a child process."""

    cached: bool
    status: Status
    reason: str | None


class Models(msgspec.Struct, frozen=True):
    """All versions, oldest first. `latest` is what the store points at, `source` where it is.

    Without a store of models the versions are those of this host alone: `local` is true, and `source` a folder of it.
    `source` is null if DANDELION_BUNDLE names the one that serves.
    Versions that are in the store alone are those of the last look at it, which this request waits for no other of.
    `admission` is whether who asks may change the model: `key` asks for an administrator's key, `closed` has none.
    """

    source: str | None
    local: bool
    serving: str
    pinned: str | None
    previous: str | None
    latest: str | None
    store: StoreState
    admission: Admission
    versions: list[VersionDescription]


CHANGES = REFUSALS | {
    int(HTTPStatus.ACCEPTED): ResponseSpec(Models, description="Validation is running", generate_examples=False)
}


class Pin(msgspec.Struct, frozen=True):
    """The version to serve and no other, or null to follow the store again."""

    version: Version | None


def _refuse_pin(_: Request[Any, Any, Any], __: RequestEntityTooLarge) -> Response[Problem]:
    problem = Problem(
        int(HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
        f'the request is larger than the {MAX_PIN_BYTES} bytes accepted; send {{"version": "…"}}',
    )
    return Response(problem, status_code=problem.status_code, media_type="application/json")


@get(
    "/",
    guards=[may_predict],
    responses=documented(HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS),
    security=API_KEY,
    summary="Model versions",
    tags=["Model"],
)
async def list_models(request: Request[Any, Any, Any], engine: Engine, reloader: Reloader | None) -> Models:
    """List the versions in the store and on this host, and say which one serves."""
    return await in_daemon_thread(partial(_describe, engine, reloader, admission_of(request)))


@post(
    "/{version:str}/load",
    status_code=200,
    guards=[may_administer],
    security=ADMIN_KEY,
    responses=CHANGES,
    tags=["Model"],
)
async def load_model(version: Version, engine: Engine, reloader: Reloader | None) -> Response[Models]:
    """Serve a version now, until the store points at another one."""
    return await _change(engine, reloader, lambda reloader: reloader.load(version))


@post(
    "/pin",
    status_code=200,
    guards=[may_administer],
    security=ADMIN_KEY,
    responses=CHANGES | documented(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    tags=["Model"],
    request_max_body_size=MAX_PIN_BYTES,
    exception_handlers={RequestEntityTooLarge: _refuse_pin},
)
async def pin_model(data: Pin, engine: Engine, reloader: Reloader | None) -> Response[Models]:
    """Serve one version whatever the store points at, or follow the store again."""
    return await _change(engine, reloader, lambda reloader: reloader.pin(data.version))


@post("/rollback", status_code=200, guards=[may_administer], security=ADMIN_KEY, responses=CHANGES, tags=["Model"])
async def roll_back_model(engine: Engine, reloader: Reloader | None) -> Response[Models]:
    """Roll back to the previous version, and pin it."""
    return await _change(engine, reloader, Reloader.roll_back)


@post(
    "/{version:str}/predict",
    status_code=200,
    guards=[may_predict],
    operation_class=PhotoOperation,
    security=API_KEY,
    responses=PHOTO_REFUSALS | documented(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    tags=["Model"],
    summary="Classify one photo by any version (side-by-side comparison)",
)
async def predict_by(
    version: Version, request: Request[Any, Any, Any], engine: Engine, comparison: ComparisonModel
) -> Answer:
    """Classify one photo by any version, for side-by-side comparison; it stays loaded for a minute."""
    photo = await photo_of(request, engine)
    with _refusing():
        return await comparison.answer(version, photo, client_name(request))


router = Router("/models", route_handlers=[list_models, load_model, pin_model, roll_back_model, predict_by])


async def _change(engine: Engine, reloader: Reloader | None, change: Callable[[Reloader], None]) -> Response[Models]:
    """Answer when the change is made, or with 202 after ANSWER_S: what is on trial then serves when it has passed."""
    if reloader is None:
        raise HTTPException(
            "DANDELION_BUNDLE names the one model that serves here; unset it, or set DANDELION_MODELS in its place",
            status_code=HTTPStatus.CONFLICT,
        )
    making = asyncio.ensure_future(in_daemon_thread(partial(change, reloader)))
    status = HTTPStatus.OK
    with _refusing():
        done, _ = await asyncio.wait([making], timeout=ANSWER_S)
        if done:
            making.result()
        else:
            making.add_done_callback(_report)
            status = HTTPStatus.ACCEPTED
    return Response(await in_daemon_thread(partial(_describe, engine, reloader, "allowed")), status_code=status)


def _report(made: asyncio.Future[None]) -> None:
    """Log the result of a change whose request was answered with 202."""
    if not made.cancelled() and (error := made.exception()):
        log.warning("%s", error, exc_info=None if isinstance(error, Refusal) else error)


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn what is wrong with a version into an answer of HTTP."""
    try:
        yield
    except UnknownVersion as error:
        raise HTTPException(str(error), status_code=HTTPStatus.NOT_FOUND) from error
    except BundleError as error:
        raise HTTPException(f"it is refused: {error}", status_code=HTTPStatus.CONFLICT) from error
    except StoreError as error:
        raise HTTPException(str(error), status_code=HTTPStatus.SERVICE_UNAVAILABLE) from error
    except DiskRefused as error:
        raise HTTPException(str(error), status_code=HTTPStatus.INSUFFICIENT_STORAGE) from error


def _describe(engine: Engine, reloader: Reloader | None, admission: Admission) -> Models:
    serving = engine.manifest
    if reloader is None:
        only = _description(summary_of(serving), cached=True, status="serving", reason=None)
        nowhere = StoreState(reachable=False, detail="none is configured")
        return Models(None, False, serving.version, None, None, None, nowhere, admission, [only])
    state, status, refused = reloader.cache.state, reloader.status, reloader.refused
    cached = set(reloader.cache.versions())
    found = reloader.known_versions() | _shipped(state) | _cached(reloader.cache, cached)
    found |= {serving.version: summary_of(serving)}
    return Models(
        source=reloader.catalogue.store.uri,
        local=reloader.is_local,
        serving=serving.version,
        pinned=state.pinned,
        previous=state.previous,
        latest=status.latest,
        store=StoreState(status.reachable, status.detail),
        admission=admission,
        versions=[
            _description(
                found[version],
                cached=version in cached,
                status=_status(version, serving.version, reloader.validating, refused),
                reason=refused.get(version) if version != serving.version else None,
            )
            for version in sorted(found)[-NEWEST:]
        ],
    )


def _shipped(state: State) -> dict[str, Summary]:
    """The bundle in this package, where one may want to go back to it."""
    shipped = read_manifest(default_bundle() / MANIFEST)
    wanted = bool(state.taught) or shipped.version in (state.previous, state.pinned)
    return {shipped.version: summary_of(shipped)} if wanted else {}


def _cached(cache: Cache, versions: set[str]) -> dict[str, Summary]:
    found = {}
    for version in versions:
        with suppress(BundleError):  # what is here and broken is fetched again when it is asked for
            found[version] = summary_of(read_manifest(cache.folder_of(version) / MANIFEST))
    return found


def _status(version: str, serving: str, trying: str | None, refused: Mapping[str, str]) -> Status:
    if version == serving:
        return "serving"
    if version == trying:
        return "trying"
    return "refused" if version in refused else "available"


def _description(summary: Summary, *, cached: bool, status: Status, reason: str | None) -> VersionDescription:
    return VersionDescription(**msgspec.structs.asdict(summary), cached=cached, status=status, reason=reason)
