"""Health checks (liveness, readiness), the active model, and Prometheus metrics."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Literal

import msgspec
from litestar import Request, Response, get
from litestar.exceptions import ServiceUnavailableException
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from runtime.api.openapi.document import API_KEY
from runtime.api.problems import documented
from runtime.api.requests.accept import preferred
from runtime.api.security.guards import may_predict, may_see_details
from runtime.api.teaching.service import TeachingService
from runtime.bundle.manifest import Manifest
from runtime.image import MEDIA_TYPES, accepted_megapixels
from runtime.inference.backends import Name, Precision
from runtime.inference.predictions import ModelName
from runtime.serving.appliance import Appliance
from runtime.serving.engine import Engine
from runtime.serving.monitoring.metrics import Metrics
from runtime.serving.versions.reloader import Reloader

# By media type: what writes it, and the content type with the version that is written.
_EXPOSITIONS: dict[str, tuple[Callable[[CollectorRegistry], bytes], str]] = {
    "text/plain": (generate_latest, CONTENT_TYPE_LATEST),
    "application/openmetrics-text": (openmetrics.generate_latest, openmetrics.CONTENT_TYPE_LATEST),
}
HIDDEN = "send an API key to see why it is degraded"


class Following(msgspec.Struct, frozen=True):
    """The store of models: whether it could be reached, and when it was last read as a whole, in UTC."""

    reachable: bool
    last_look: datetime | None


class Limits(msgspec.Struct, frozen=True):
    """The largest photos in force, in megapixels by kind, and the memory for decoding that they follow from, in bytes.

    `memory_bytes` is what the process may take, of which that is a share; null if a setting says it. `media_types`
    are those of the photos that are decoded here.
    """

    megapixels: dict[str, float]
    decoding_bytes: int
    memory_bytes: int | None
    media_types: tuple[str, ...]


class Keeping(msgspec.Struct, frozen=True):
    """Photos with an uncertain or unknown answer are kept to be labelled: at most `photos`, for `days` at most."""

    photos: int
    days: float


class Health(msgspec.Struct, frozen=True):
    """`GET /health`: for people and dashboards. `reasons` say why it is degraded: it answers all the same.

    Where API keys are set, they are told only to clients that send one: they name paths and endpoints.

    `following` is null if no store is followed, `keeps` if no photo is kept but corrections.
    """

    status: Literal["ok", "degraded", "stopping"]
    model: ModelName
    reasons: list[str]
    uptime_s: float
    following: Following | None
    limits: Limits
    keeps: Keeping | None = None


class Serving(msgspec.Struct, frozen=True):
    """How the model is computed on this CPU.

    `kernel` is the native one with an instruction set (x86-64: `sse4` is SSE4.1, `avx2`, `avxvnni` is AVX-VNNI, `vnni`
    is AVX-512 VNNI, `amx`; ARM64: `neon`, `dotprod` is the dot product, `i8mm`; `reference` is plain C, for tests), or
    one of onnxruntime's (`fast`, `exact`, `fp32`);
    `golden_deviation` is the largest difference from what the bundle recorded for the golden cases, 0..1: 0 where the
    native kernel serves what it recorded;
    `abstain_threshold` the confidence below which an answer is called uncertain; `source` where the bundle came from.
    """

    precision: Precision
    kernel: Name
    golden_deviation: float
    abstain_threshold: float
    source: str


class ModelDescription(msgspec.Struct, frozen=True):
    """`GET /model`."""

    serving: Serving
    manifest: Manifest


class Probe(msgspec.Struct, frozen=True):
    """For an orchestrator: the status code is the answer."""

    status: Literal["live", "ready"]


@get("/health", summary="Health status and active model", tags=["Health"])
async def health(request: Request[Any, Any, Any], appliance: Appliance, teaching: TeachingService) -> Health:
    """Health status; a degraded appliance answers with 200, too."""
    reasons = appliance.troubles() + await teaching.troubles_soon()
    if reasons and not may_see_details(request):
        reasons = [HIDDEN]
    status: Literal["ok", "degraded", "stopping"] = "degraded" if reasons else "ok"
    uptime_s = round(time.monotonic() - appliance.began, 1)
    return Health(
        status if appliance.ready else "stopping",
        appliance.engine.model.name,
        reasons,
        uptime_s,
        _following(appliance.reloader),
        _limits(appliance),
        _keeping(appliance),
    )


def _keeping(appliance: Appliance) -> Keeping | None:
    settings = appliance.settings
    return Keeping(settings.inbox_photos, settings.inbox_days) if settings.inbox_photos else None


def _limits(appliance: Appliance) -> Limits:
    limits = appliance.settings.photo_limits
    megapixels = accepted_megapixels(limits, appliance.engine.manifest.input)
    return Limits(megapixels, limits.decoding_bytes, limits.memory_bytes, MEDIA_TYPES)


def _following(reloader: Reloader | None) -> Following | None:
    if reloader is None or reloader.is_local:
        return None
    status = reloader.status
    looked_at = None if status.looked_at is None else datetime.fromtimestamp(int(status.looked_at), UTC)
    return Following(status.reachable, looked_at)


@get("/health/live", summary="Is the process alive?", tags=["Health"])
async def live() -> Probe:
    """Liveness: the process answers; restart it if it does not."""
    return Probe("live")


@get("/health/ready", summary="Is it ready for traffic?", tags=["Health"])
async def ready(appliance: Appliance) -> Probe:
    """Readiness: a model is loaded, validated and warmed up; send traffic. During graceful shutdown, 503."""
    check_ready(appliance)
    return Probe("ready")


def check_ready(appliance: Appliance) -> None:
    """Raise ServiceUnavailableException if load balancers should send nothing more."""
    if not appliance.ready:
        raise ServiceUnavailableException("the appliance is stopping; ask another one")


@get(
    "/model",
    guards=[may_predict],
    responses=documented(HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS),
    security=API_KEY,
    summary="The active model",
    tags=["Model"],
)
async def model(engine: Engine) -> ModelDescription:
    """Describe the active model: backend, provenance and validation metrics."""
    model = engine.model
    kernel = model.kernel
    deviation = round(kernel.deviation, 6)
    serving = Serving(kernel.precision, kernel.kernel, deviation, model.rule.uncertain_below, model.source)
    return ModelDescription(serving, model.manifest)


@get("/metrics", summary="Prometheus metrics", tags=["Health"], media_type="text/plain")
async def metrics(request: Request[Any, Any, Any], metrics: Metrics, engine: Engine) -> Response[bytes]:
    """Prometheus metrics in its text format; in OpenMetrics, with request ids as exemplars, where `Accept` asks so."""
    metrics.refresh(waiting=engine.waiting)
    encode, kind = _EXPOSITIONS[preferred(request.headers.get("accept", ""), tuple(_EXPOSITIONS))]
    return Response(encode(metrics.registry), headers={"content-type": kind, "vary": "accept"})
