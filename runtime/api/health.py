"""How the appliance is, and which model it serves."""

from __future__ import annotations

from typing import Literal

import msgspec
from litestar import Response, get
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from runtime.answers import ModelName
from runtime.bundle import Manifest
from runtime.engine import Engine
from runtime.metrics import Metrics


class Health(msgspec.Struct, frozen=True):
    """`GET /health`: for people and dashboards."""

    status: Literal["ok"]
    model: ModelName


class Serving(msgspec.Struct, frozen=True):
    """How the model is computed on this CPU.

    `golden_deviation` is the largest difference from the recorded probabilities of the golden cases, 0..1;
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


@get("/health", summary="How the appliance is, and with which model", tags=["Health"])
async def health(engine: Engine) -> Health:
    """Say that the appliance answers, and with which model."""
    return Health("ok", engine.model.name)


@get("/health/live", summary="Is the process alive?", tags=["Health"])
async def live() -> Probe:
    """Liveness: the process answers; restart it where it does not."""
    return Probe("live")


@get("/health/ready", summary="Is it ready for traffic?", tags=["Health"])
async def ready() -> Probe:
    """Readiness: a model is loaded and warm; send traffic."""
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
