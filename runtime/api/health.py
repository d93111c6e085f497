"""How the appliance is, and which model it serves."""

from __future__ import annotations

import time
from typing import Literal

import msgspec
from litestar import HttpMethod, Response, get, route
from litestar.exceptions import ServiceUnavailableException
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from runtime.answers import ModelName
from runtime.appliance import Appliance
from runtime.bundle import Manifest
from runtime.engine import Engine
from runtime.metrics import Metrics

_READ: list[HttpMethod] = [HttpMethod.GET, HttpMethod.HEAD]


class Health(msgspec.Struct, frozen=True):
    """`GET /health`: for people and dashboards. `reasons` say why it is degraded: it answers all the same."""

    status: Literal["ok", "degraded", "stopping"]
    model: ModelName
    reasons: list[str]
    uptime_s: float


class Serving(msgspec.Struct, frozen=True):
    """How the model is computed on this CPU.

    `kernel` is the native one by AMX (`amx`) or VNNI (`vnni`), or one of onnxruntime's (`fast`, `exact`, `fp32`);
    `golden_deviation` is the largest difference from what the bundle recorded for the golden cases, 0..1;
    `abstain_threshold` the confidence below which an answer is called uncertain; `source` where the bundle came from.
    """

    precision: str
    kernel: str
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


@route("/health", http_method=_READ, summary="How the appliance is, and with which model", tags=["Health"])
async def health(appliance: Appliance) -> Health:
    """Say how the appliance is: it answers while it is degraded, too."""
    reasons = appliance.troubles()
    status: Literal["ok", "degraded", "stopping"] = "degraded" if reasons else "ok"
    uptime_s = round(time.monotonic() - appliance.began, 1)
    return Health("stopping" if appliance.stopping else status, appliance.engine.model.name, reasons, uptime_s)


@route("/health/live", http_method=_READ, summary="Is the process alive?", tags=["Health"])
async def live() -> Probe:
    """Liveness: the process answers; restart it where it does not."""
    return Probe("live")


@route("/health/ready", http_method=_READ, summary="Is it ready for traffic?", tags=["Health"])
async def ready(appliance: Appliance) -> Probe:
    """Readiness: a model is loaded, proven and warm; send traffic. While it stops, 503."""
    if appliance.stopping:
        raise ServiceUnavailableException("the appliance is stopping; ask another one")
    return Probe("ready")


@get("/model", summary="The model that serves", tags=["Model"])
async def model(engine: Engine) -> ModelDescription:
    """Describe the model that serves: how it is computed here, how it was made and how good it is."""
    model = engine.model
    kernel = model.kernel
    serving = Serving(kernel.precision, kernel.kernel, round(kernel.deviation, 6), model.threshold, model.source)
    return ModelDescription(serving, model.manifest)


@get("/metrics", summary="Prometheus metrics", tags=["Health"], media_type="text/plain")
async def metrics(metrics: Metrics, engine: Engine) -> Response[bytes]:
    """Prometheus metrics in text format."""
    metrics.refresh(waiting=engine.line.waiting)
    return Response(generate_latest(metrics.registry), headers={"content-type": CONTENT_TYPE_LATEST})
