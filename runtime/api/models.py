"""The versions that could serve, and an operator's word on which does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Any, Literal, TypeVar

import msgspec
from litestar import Request, Router, get, post
from litestar.exceptions import HTTPException

from runtime.answers import Answer
from runtime.api.keys import may_administer, may_predict
from runtime.api.operations import PhotoOperation
from runtime.api.predict import REFUSALS as PHOTO_REFUSALS
from runtime.api.problems import documented
from runtime.api.upload import photo_of
from runtime.beside import Beside
from runtime.bundle import MANIFEST, BundleError, Manifest, read_manifest
from runtime.engine import Engine
from runtime.follower import Follower, UnknownVersion
from runtime.models.cache import Cache
from runtime.models.catalogue import Catalogue
from runtime.store import StoreError

T = TypeVar("T")

NEWEST = 50  # versions that are described: each costs a look into the store, once

REFUSALS = documented(
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.SERVICE_UNAVAILABLE,
)


class StoreState(msgspec.Struct, frozen=True):
    """Whether the store could be reached last time, and else why not."""

    reachable: bool
    detail: str


class VersionDescription(msgspec.Struct, frozen=True):
    """One version; accuracy and F1 are of INT8 on its validation photos, `accuracy_loss` against its FP32."""

    version: str
    created: str
    accuracy: float
    f1: float
    agreement: float
    accuracy_loss: float
    size_bytes: int
    image_size: int
    dataset_sha256: str
    mlflow_run: str | None
    cached: bool
    status: Literal["serving", "available", "refused"]
    reason: str | None


class Models(msgspec.Struct, frozen=True):
    """All versions, oldest first. `latest` is what the store points at, `source` where it is."""

    source: str | None
    serving: str
    pinned: str | None
    previous: str | None
    latest: str | None
    store: StoreState
    versions: list[VersionDescription]


class Pin(msgspec.Struct, frozen=True):
    """The version to serve and no other, or null to follow the store again."""

    version: str | None


@get("/", summary="The versions that could serve", tags=["Model"])
async def list_models(engine: Engine, follower: Follower | None) -> Models:
    """List the versions in the store and on this host, and say which one serves."""
    return await _in_thread(partial(_describe, engine, follower))


@post("/{version:str}/load", status_code=200, guards=[may_administer], responses=REFUSALS, tags=["Model"])
async def load_model(version: str, engine: Engine, follower: Follower | None) -> Models:
    """Serve a version now, until the store points at another one."""
    return await _change(engine, follower, lambda follower: follower.load(version))


@post("/pin", status_code=200, guards=[may_administer], responses=REFUSALS, tags=["Model"])
async def pin_model(data: Pin, engine: Engine, follower: Follower | None) -> Models:
    """Serve one version whatever the store points at, or follow the store again."""
    return await _change(engine, follower, lambda follower: follower.pin(data.version))


@post("/rollback", status_code=200, guards=[may_administer], responses=REFUSALS, tags=["Model"])
async def roll_back_model(engine: Engine, follower: Follower | None) -> Models:
    """Serve the version that served before this one, and pin it."""
    return await _change(engine, follower, Follower.roll_back)


@post(
    "/{version:str}/predict",
    status_code=200,
    guards=[may_predict],
    operation_class=PhotoOperation,
    responses=PHOTO_REFUSALS | documented(HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    tags=["Model"],
    summary="Ask any version about one photo",
)
async def predict_by(version: str, request: Request[Any, Any, Any], engine: Engine, beside: Beside) -> Answer:
    """Classify one photo by a version that need not serve: it is loaded beside the one that does, for a minute."""
    async with photo_of(request, engine) as photo:
        with _refusing():
            return await beside.answer(version, photo)


router = Router("/models", route_handlers=[list_models, load_model, pin_model, roll_back_model, predict_by])


async def _change(engine: Engine, follower: Follower | None, change: Callable[[Follower], None]) -> Models:
    if follower is None:
        raise HTTPException(
            "this appliance serves one bundle and follows no models; set DANDELION_MODELS",
            status_code=HTTPStatus.CONFLICT,
        )
    with _refusing():
        await _in_thread(partial(change, follower))
    return await _in_thread(partial(_describe, engine, follower))


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


async def _in_thread(job: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(None, job)


def _describe(engine: Engine, follower: Follower | None) -> Models:
    serving = engine.manifest
    if follower is None:
        only = _description(serving, cached=True, serving=serving.version, reason=None)
        nowhere = StoreState(reachable=False, detail="none is configured")
        return Models(None, serving.version, None, None, None, nowhere, [only])
    state, status = follower.cache.state, follower.status
    cached = set(follower.cache.versions())
    manifests = {serving.version: serving} | _manifests(follower.catalogue, follower.cache, cached)
    return Models(
        source=follower.catalogue.store.uri,
        serving=serving.version,
        pinned=state.pinned,
        previous=state.previous,
        latest=status.latest,
        store=StoreState(status.reachable, status.detail),
        versions=[
            _description(
                manifests[version],
                cached=version in cached,
                serving=serving.version,
                reason=follower.refused.get(version),
            )
            for version in sorted(manifests)[-NEWEST:]
        ],
    )


def _manifests(catalogue: Catalogue, cache: Cache, cached: set[str]) -> dict[str, Manifest]:
    found = {}
    for version in cached:
        with suppress(BundleError):  # what is here and broken is fetched again when it is asked for
            found[version] = read_manifest(cache.folder_of(version) / MANIFEST)
    with suppress(StoreError):  # the state of the store says why
        for version in catalogue.versions()[-NEWEST:]:
            if version not in found:
                with suppress(BundleError):
                    found[version] = _stored_manifest(catalogue, version)
    return found


@lru_cache(maxsize=4 * NEWEST)
def _stored_manifest(catalogue: Catalogue, version: str) -> Manifest:
    """A version never changes: one look is enough."""
    return catalogue.manifest(version)[1]


def _description(manifest: Manifest, *, cached: bool, serving: str, reason: str | None) -> VersionDescription:
    metrics = manifest.metrics
    status: Literal["serving", "available", "refused"] = "refused" if reason else "available"
    return VersionDescription(
        version=manifest.version,
        created=manifest.created,
        accuracy=metrics.int8.accuracy,
        f1=metrics.int8.f1,
        agreement=metrics.agreement,
        accuracy_loss=round(metrics.fp32.accuracy - metrics.int8.accuracy, 6),
        size_bytes=sum(entry.size_bytes for entry in manifest.files.values()),
        image_size=manifest.input.height,
        dataset_sha256=manifest.dataset.sha256,
        mlflow_run=manifest.mlflow_run,
        cached=cached,
        status="serving" if manifest.version == serving else status,
        reason=reason,
    )
