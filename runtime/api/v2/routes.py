"""Routes of the Open Inference Protocol (KServe V2)."""

from __future__ import annotations

import asyncio
from functools import partial
from http import HTTPStatus
from typing import Any

import msgspec
import numpy as np
from litestar import Request, Response, Router, get, post
from litestar.exceptions import NotFoundException
from numpy.typing import NDArray

from runtime.api.problems import MAX_SHOWN, PROTOCOL, Fault
from runtime.api.requests.client import client_name
from runtime.api.requests.traffic import is_measurement
from runtime.api.routes.health import check_ready
from runtime.api.security.guards import may_predict
from runtime.api.v2.description import (
    ACTIVATION_MAP,
    DAMAGED,
    EXTENSIONS,
    LABEL,
    PROBABILITIES,
    UNKNOWN,
    ModelMetadata,
    ModelReady,
    ServerLive,
    ServerMetadata,
    ServerReady,
    configuration_of,
    metadata_of,
)
from runtime.api.v2.reading import JsonCount, ReadingOrder, Sent, read, read_by
from runtime.api.v2.statistics import ModelStatistics, Stages, Statistics
from runtime.api.v2.tensors import (
    HEADER,
    SHORT_BYTES,
    ProtocolError,
    TooMuchJson,
    encode,
    json_length,
)
from runtime.bundle.input import max_batch_size
from runtime.bundle.manifest import Manifest
from runtime.errors import one_line
from runtime.image import ImageError
from runtime.names import UNKNOWN as UNKNOWN_LABEL
from runtime.serving.appliance import Appliance
from runtime.serving.engine import Engine
from runtime.serving.loaded_model import LoadedModel
from runtime.serving.results import TimedInference
from runtime.serving.scheduling.scheduler import ClientName
from runtime.serving.settings import Settings

MAX_DIGITS = 12  # of a length that is worth to be read
COST_OF_JSON_BYTE = 1.0  # it takes about as long as a pixel of a WebP (`runtime/serving/scheduling/decoding_work.py`)


class InferenceAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The JSON of an answer; tensors that were asked for in binary follow it."""

    model_name: str
    model_version: str
    outputs: list[Any]
    id: str | None = None
    parameters: dict[str, bool] | None = None  # `damaged`, if pieces of a photo are missing


@get("/", guards=[may_predict])
async def server_metadata(appliance: Appliance) -> ServerMetadata:
    """Describe the server."""
    return ServerMetadata("image-classifier", appliance.release, EXTENSIONS)


@get("/health/live")
async def live() -> ServerLive:
    """Say that the process lives."""
    return ServerLive(live=True)


@get("/health/ready")
async def ready(appliance: Appliance) -> ServerReady:
    """Say whether requests are welcome; 503 if not."""
    check_ready(appliance)
    return ServerReady(ready=True)


@get(["/models/{name:str}/ready", "/models/{name:str}/versions/{version:str}/ready"])
async def model_ready(appliance: Appliance, name: str, version: str | None = None) -> ModelReady:
    """Say whether this model serves; 404 if another does, 503 if none does any longer."""
    _named(appliance.engine, name, version)
    check_ready(appliance)
    return ModelReady(name, ready=True)


@get(["/models/{name:str}", "/models/{name:str}/versions/{version:str}"], guards=[may_predict])
async def model_metadata(engine: Engine, name: str, version: str | None = None) -> ModelMetadata:
    """Describe the model that serves."""
    return metadata_of(_named(engine, name, version).manifest)


@get(["/models/{name:str}/config", "/models/{name:str}/versions/{version:str}/config"], guards=[may_predict])
async def model_configuration(
    engine: Engine, settings: Settings, name: str, version: str | None = None
) -> dict[str, Any]:
    """Describe the model that serves as Triton's tools read it."""
    return configuration_of(_named(engine, name, version).manifest, settings.max_photos)


@get(
    ["/models/stats", "/models/{name:str}/stats", "/models/{name:str}/versions/{version:str}/stats"],
    guards=[may_predict],
)
async def model_statistics(
    engine: Engine, statistics: Statistics, name: str | None = None, version: str | None = None
) -> dict[str, list[ModelStatistics]]:
    """Tell how many requests the model has answered, and how long the stages took."""
    model = engine.model if name is None else _named(engine, name, version)
    return {"model_stats": [statistics.of(model.name)]}


@post(
    ["/models/{name:str}/infer", "/models/{name:str}/versions/{version:str}/infer"],
    status_code=HTTPStatus.OK,
    guards=[may_predict],
)
async def infer(
    request: Request[Any, Any, Any],
    engine: Engine,
    settings: Settings,
    statistics: Statistics,
    name: str,
    version: str | None = None,
) -> Response[bytes]:
    """Classify decoded pixels or encoded photos."""
    model = _named(engine, name, version)
    with statistics.request(model.name) as stages:
        return await _infer(request, engine, settings, model, stages)


async def _infer(
    request: Request[Any, Any, Any], engine: Engine, settings: Settings, model: LoadedModel, stages: Stages
) -> Response[bytes]:
    client = client_name(request)
    engine.admission.check_wait()
    spec = model.manifest.input
    max_numbers = (settings.max_json_photos or max_batch_size(spec)) * spec.height * spec.width * 3
    body = await _body(request, max_numbers)
    length = json_length(body, request.headers.get(HEADER))
    order = ReadingOrder(length, max_numbers, settings.max_photos, spec.height, spec.width)
    if length <= SHORT_BYTES:
        sent = read(body, order)
    else:
        job = partial(read_by, engine.children, body, order)
        sent = await engine.work_heavy(job, length * COST_OF_JSON_BYTE, client)
    outputs = _outputs(sent.named, model.manifest)
    pixels, damaged = await _pixels(engine, model, sent, client)
    stages.decoded()
    measured = is_measurement(request.scope)
    timed = await engine.infer(pixels, model, damaged, measured=measured)
    if not isinstance(sent.values, np.ndarray):  # else there is no photo but its pixels
        engine.doubtful.offer(sent.values, timed.predictions, model.name, measured=measured)
    stages.inferred(timed)
    reply = partial(_answer, model, sent, outputs, timed, damaged)
    if timed.inference.activation_map.size <= SHORT_BYTES:
        return reply()
    return await asyncio.get_running_loop().run_in_executor(None, reply)


async def _body(request: Request[Any, Any, Any], max_numbers: int) -> bytes:
    """The body; raises TooMuchJson as soon as that is known."""
    length = request.headers.get(HEADER, "")
    count = JsonCount(max_numbers, int(length) if length.isdecimal() and len(length) < MAX_DIGITS else None)
    parts = []
    async for part in request.stream():
        count.add(part)
        parts.append(part)
    return b"".join(parts)


def _named(engine: Engine, name: str, version: str | None) -> LoadedModel:
    model = engine.model
    if name != model.name.name or version not in {None, model.name.version}:
        asked = name if version is None else f"{name} {version}"
        serving = f"{model.name.name} {model.name.version}"
        raise NotFoundException(one_line(f"{asked[:MAX_SHOWN]} does not serve here; {serving} does"))
    return model


async def _pixels(
    engine: Engine, model: LoadedModel, sent: Sent, client: ClientName
) -> tuple[NDArray[np.uint8], list[bool]]:
    """The pixels [N, height, width, 3], and of each photo whether pieces of it are missing."""
    if isinstance(sent.values, np.ndarray):
        return sent.values, [False] * len(sent.values)
    decoded = await engine.decode_many(sent.values, model, client)
    for number, photo in enumerate(decoded):
        if isinstance(photo, ImageError):
            raise ProtocolError(f"photo {number}: {photo}")
    photos = [photo for photo in decoded if not isinstance(photo, ImageError)]
    return np.stack([photo.pixels for photo in photos]), [photo.damaged for photo in photos]


def _outputs(named: dict[str, bool | None], manifest: Manifest) -> dict[str, bool | None]:
    """The outputs that are asked for, all if none are, and which of them in binary; raises ProtocolError."""
    offered = [output.name for output in metadata_of(manifest).outputs]
    wanted = named or dict.fromkeys(offered)
    missing = wanted.keys() - set(offered)
    if missing:
        raise ProtocolError(f"there is no output {min(missing)[:60]!r}; ask for {', '.join(offered)}")
    return wanted


def _values(manifest: Manifest, timed: TimedInference, damaged: list[bool]) -> dict[str, NDArray[Any]]:
    """Every output by its name. The unknown class has one of its own, and no place among those of the labels."""
    own = len(manifest.labels)
    (probabilities, activation_map), predictions = timed.inference, timed.predictions
    return {
        PROBABILITIES: probabilities[:, :own],
        ACTIVATION_MAP: activation_map[:, :own],
        LABEL: np.array([prediction.label or UNKNOWN_LABEL for prediction in predictions]),
        DAMAGED: np.array(damaged),
        UNKNOWN: probabilities[:, own:],  # [N, 1], or [N, 0] and never asked for
    }


def _answer(
    model: LoadedModel, sent: Sent, wanted: dict[str, bool | None], timed: TimedInference, damaged: list[bool]
) -> Response[bytes]:
    values = _values(model.manifest, timed, damaged)
    encoded = [
        encode(name, values[name], binary=sent.binary if binary is None else binary) for name, binary in wanted.items()
    ]
    outputs = [tensor for tensor, _ in encoded]
    answer = InferenceAnswer(
        model.name.name, model.name.version, outputs, sent.id, {DAMAGED: True} if any(damaged) else None
    )
    head, raw = msgspec.json.encode(answer), b"".join(part for _, part in encoded)
    if not raw:
        return Response(head, media_type="application/json")
    return Response(head + raw, media_type="application/octet-stream", headers={HEADER: str(len(head))})


def _refuse(request: Request[Any, Any, Any], error: ProtocolError) -> Response[Fault]:
    if isinstance(error, TooMuchJson):
        request.app.state.metrics.rejections.labels("json").inc()
    return Response(Fault(str(error)), status_code=error.status)


# Not in the OpenAPI document: it has a specification of its own.
router = Router(
    PROTOCOL,
    route_handlers=[
        server_metadata,
        live,
        ready,
        model_ready,
        model_metadata,
        model_configuration,
        model_statistics,
        infer,
    ],
    exception_handlers={ProtocolError: _refuse},
    include_in_schema=False,
)
