"""The routes of the Open Inference Protocol."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
import numpy as np
from litestar import Request, Response, Router, get, post
from litestar.exceptions import NotFoundException
from numpy.typing import NDArray

from runtime.api.keys import may_predict
from runtime.api.upload import promised_bytes
from runtime.api.v2.tensors import (
    HEADER,
    InferenceRequest,
    ProtocolError,
    encode,
    photos_of,
    pixels_of,
    raw_parts,
    split,
)
from runtime.appliance import Appliance
from runtime.engine import Engine
from runtime.image import ImageError
from runtime.inference import Inference
from runtime.model import Model
from runtime.settings import Settings

PIXELS, PHOTOS = "pixels", "photos"
PROBABILITIES, ACTIVATION_MAP, LABEL = "probabilities", "activation_map", "label"
EXTENSIONS = ["binary_tensor_data"]


class ServerMetadata(msgspec.Struct, frozen=True):
    """Which server this is."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(msgspec.Struct, frozen=True):
    """One input or output; -1 is any number."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(msgspec.Struct, frozen=True):
    """Which model serves, and what goes in and out: one of the inputs, any of the outputs."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class InferenceAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The JSON of an answer; tensors that were asked for in binary follow it."""

    model_name: str
    model_version: str
    outputs: list[Any]
    id: str | None = None


class Fault(msgspec.Struct, frozen=True):
    """The protocol's refusal."""

    error: str


@get("/")
async def server_metadata(appliance: Appliance) -> ServerMetadata:
    """Describe the server."""
    return ServerMetadata("dandelion", appliance.release, EXTENSIONS)


@get("/health/live")
async def live() -> None:
    """Say that the process lives."""


@get("/health/ready")
async def ready(appliance: Appliance) -> Response[None]:
    """Say whether requests are welcome."""
    return Response(None, status_code=HTTPStatus.SERVICE_UNAVAILABLE if appliance.stopping else HTTPStatus.OK)


@get(["/models/{name:str}/ready", "/models/{name:str}/versions/{version:str}/ready"])
async def model_ready(engine: Engine, name: str, version: str | None = None) -> None:
    """Say whether this model serves."""
    _named(engine, name, version)


@get(["/models/{name:str}", "/models/{name:str}/versions/{version:str}"])
async def model_metadata(engine: Engine, name: str, version: str | None = None) -> ModelMetadata:
    """Describe the model that serves."""
    manifest = _named(engine, name, version).manifest
    classes = len(manifest.labels)
    return ModelMetadata(
        name=manifest.name,
        versions=[manifest.version],
        platform="onnxruntime_onnx",
        inputs=[
            TensorMetadata(PIXELS, "UINT8", [-1, manifest.input.height, manifest.input.width, 3]),
            TensorMetadata(PHOTOS, "BYTES", [-1]),
        ],
        outputs=[
            TensorMetadata(PROBABILITIES, "FP32", [-1, classes]),
            TensorMetadata(ACTIVATION_MAP, "FP32", [-1, classes, -1, -1]),
            TensorMetadata(LABEL, "BYTES", [-1]),
        ],
    )


@post(
    ["/models/{name:str}/infer", "/models/{name:str}/versions/{version:str}/infer"],
    status_code=HTTPStatus.OK,
    guards=[may_predict],
)
async def infer(
    request: Request[Any, Any, Any], engine: Engine, settings: Settings, name: str, version: str | None = None
) -> Response[bytes]:
    """Classify decoded pixels or encoded photos."""
    model = _named(engine, name, version)
    with engine.line.holding(promised_bytes(request)):
        asked, raw = split(await request.body(), request.headers.get(HEADER))
        pixels = await _pixels(engine, model, settings, asked, raw)
        inference = await engine.infer(pixels, model)
    return _answer(model, asked, inference)


def _named(engine: Engine, name: str, version: str | None) -> Model:
    model = engine.model
    if name != model.name.name or version not in {None, model.name.version}:
        asked = name if version is None else f"{name} {version}"
        serving = f"{model.name.name} {model.name.version}"
        raise NotFoundException(f"{asked} does not serve here; {serving} does")
    return model


async def _pixels(
    engine: Engine, model: Model, settings: Settings, asked: InferenceRequest, raw: memoryview
) -> NDArray[np.uint8]:
    if len(asked.inputs) != 1 or asked.inputs[0].name not in {PIXELS, PHOTOS}:
        raise ProtocolError(f"send one input: {PIXELS!r} (UINT8 [N, height, width, 3]) or {PHOTOS!r} (BYTES [N])")
    tensor, part = asked.inputs[0], raw_parts(asked.inputs, raw)[0]
    if not tensor.shape or tensor.shape[0] > settings.max_photos:
        raise ProtocolError(f"send at most {settings.max_photos} photos at once, in a batch dimension")
    if tensor.name == PIXELS:
        spec = model.manifest.input
        if tensor.shape[1:] != [spec.height, spec.width, 3]:
            raise ProtocolError(f"the pixels are of shape {tensor.shape[:8]}, not [N, {spec.height}, {spec.width}, 3]")
        return pixels_of(tensor, part)
    decoded = await engine.decode_many(photos_of(tensor, part), model)
    for number, photo in enumerate(decoded):
        if isinstance(photo, ImageError):
            raise ProtocolError(f"photo {number}: {photo}")
    return np.stack([photo for photo in decoded if not isinstance(photo, ImageError)])


def _answer(model: Model, asked: InferenceRequest, inference: Inference) -> Response[bytes]:
    labels = np.array(model.manifest.labels)[inference.probabilities.argmax(axis=1)]
    values = {PROBABILITIES: inference.probabilities, ACTIVATION_MAP: inference.activation_map, LABEL: labels}
    everything = bool(asked.parameters.binary_data_output)
    wanted = {output.name: output.parameters.binary_data for output in asked.outputs or ()} or {PROBABILITIES: None}
    unknown = wanted.keys() - values.keys()
    if unknown:
        raise ProtocolError(f"there is no output {min(unknown)[:60]!r}; ask for {', '.join(values)}")
    encoded = [
        encode(name, values[name], binary=everything if binary is None else binary) for name, binary in wanted.items()
    ]
    answer = InferenceAnswer(model.name.name, model.name.version, [tensor for tensor, _ in encoded], asked.id)
    head, raw = msgspec.json.encode(answer), b"".join(part for _, part in encoded)
    if not raw:
        return Response(head, media_type="application/json")
    return Response(head + raw, media_type="application/octet-stream", headers={HEADER: str(len(head))})


def _refuse(_: Request[Any, Any, Any], error: ProtocolError) -> Response[Fault]:
    return Response(Fault(str(error)), status_code=HTTPStatus.BAD_REQUEST)


def _not_found(_: Request[Any, Any, Any], error: NotFoundException) -> Response[Fault]:
    return Response(Fault(error.detail), status_code=HTTPStatus.NOT_FOUND)


# Not in the OpenAPI document: it has a specification of its own.
router = Router(
    "/v2",
    route_handlers=[server_metadata, live, ready, model_ready, model_metadata, infer],
    exception_handlers={ProtocolError: _refuse, NotFoundException: _not_found},
    include_in_schema=False,
)
