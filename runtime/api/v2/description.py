"""What the protocol tells of server and model: metadata, and Triton's model configuration, which its tools ask for.

Configuration: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_model_configuration.md
"""

from __future__ import annotations

from typing import Any

import msgspec

from runtime.bundle.manifest import Manifest

PIXELS, PHOTOS = "pixels", "photos"
PROBABILITIES, ACTIVATION_MAP, LABEL, DAMAGED = "probabilities", "activation_map", "label", "damaged"
UNKNOWN = "unknown"
EXTENSIONS = ["binary_tensor_data", "model_configuration", "statistics"]
_KINDS = {"UINT8": "TYPE_UINT8", "BYTES": "TYPE_STRING", "FP32": "TYPE_FP32", "BOOL": "TYPE_BOOL"}


class ServerMetadata(msgspec.Struct, frozen=True):
    """Which server this is."""

    name: str
    version: str
    extensions: list[str]


class ServerLive(msgspec.Struct, frozen=True):
    """`GET /v2/health/live`."""

    live: bool


class ServerReady(msgspec.Struct, frozen=True):
    """`GET /v2/health/ready`."""

    ready: bool


class ModelReady(msgspec.Struct, frozen=True):
    """`GET /v2/models/<name>/ready`."""

    name: str
    ready: bool


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


def metadata_of(manifest: Manifest) -> ModelMetadata:
    """What goes in and out of a model; the output UNKNOWN is of those that have the unknown class."""
    classes = len(manifest.labels)
    unknown = [TensorMetadata(UNKNOWN, "FP32", [-1, 1])] if manifest.unknown else []
    return ModelMetadata(
        name=manifest.name,
        versions=[manifest.version],
        platform="onnxruntime_onnx",
        inputs=[
            TensorMetadata(PIXELS, "UINT8", [-1, manifest.input.height, manifest.input.width, 3]),
            TensorMetadata(PHOTOS, "BYTES", [-1, 1]),  # [-1] is taken, too; Triton's tools want a side beside the batch
        ],
        outputs=[
            TensorMetadata(PROBABILITIES, "FP32", [-1, classes]),
            TensorMetadata(ACTIVATION_MAP, "FP32", [-1, classes, -1, -1]),
            TensorMetadata(LABEL, "BYTES", [-1]),
            TensorMetadata(DAMAGED, "BOOL", [-1]),
            *unknown,
        ],
    )


def configuration_of(manifest: Manifest, max_batch_size: int) -> dict[str, Any]:
    """Triton's configuration of a model; its `dims` are without the batch. Each input is optional: one is sent."""
    metadata = metadata_of(manifest)
    return {
        "name": metadata.name,
        "platform": metadata.platform,
        "backend": "onnxruntime",
        "version_policy": {"latest": {"num_versions": 1}},
        "max_batch_size": max_batch_size,
        "input": [_tensor(tensor) | {"optional": True} for tensor in metadata.inputs],
        "output": [_tensor(tensor) for tensor in metadata.outputs],
        "instance_group": [{"name": metadata.name, "kind": "KIND_CPU", "count": 1}],
        "dynamic_batching": {},
        "model_transaction_policy": {"decoupled": False},
    }


def _tensor(tensor: TensorMetadata) -> dict[str, Any]:
    return {"name": tensor.name, "data_type": _KINDS[tensor.datatype], "dims": tensor.shape[1:]}
