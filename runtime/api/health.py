"""How the appliance is, and which model it serves."""

from __future__ import annotations

from typing import Literal

import msgspec
from litestar import Response, get
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from runtime.bundle import Manifest
from runtime.engine import Engine, ModelName
from runtime.metrics import Metrics


class Health(msgspec.Struct, frozen=True):
    """`GET /health`: for people and dashboards."""

    status: Literal["ok"]
    model: ModelName


class Probe(msgspec.Struct, frozen=True):
    """For an orchestrator: the status code is the answer."""

    status: Literal["live", "ready"]


@get("/health", summary="How the appliance is, and with which model", tags=["Health"])
async def health(engine: Engine) -> Health:
    """Say that the appliance answers, and with which model."""
    return Health("ok", engine.model)


@get("/health/live", summary="Is the process alive?", tags=["Health"])
async def live() -> Probe:
    """Liveness: the process answers; restart it where it does not."""
    return Probe("live")


@get("/health/ready", summary="Is it ready for traffic?", tags=["Health"])
async def ready() -> Probe:
    """Readiness: a model is loaded and warm; send traffic."""
    return Probe("ready")


@get("/model", summary="The manifest of the model that serves", tags=["Model"])
async def model(engine: Engine) -> Manifest:
    """Describe the model that serves: its manifest, with how it was made and how good it is."""
    return engine.manifest


@get("/metrics", summary="Prometheus metrics", tags=["Health"], media_type="text/plain")
async def metrics(metrics: Metrics) -> Response[bytes]:
    """Prometheus metrics in text format."""
    return Response(generate_latest(metrics.registry), headers={"content-type": CONTENT_TYPE_LATEST})
