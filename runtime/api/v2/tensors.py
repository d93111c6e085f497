"""Tensors on the wire: as JSON, or as raw little-endian bytes behind the JSON."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

HEADER = "inference-header-content-length"
_LENGTH_BYTES = 4  # before each element of a BYTES tensor


class ProtocolError(ValueError):
    """A request that the protocol does not allow; the message is one sentence for whoever sent it."""


class Parameters(msgspec.Struct, frozen=True):
    """Those parameters that mean something here."""

    binary_data_size: int | None = None
    binary_data: bool | None = None
    binary_data_output: bool | None = None


class InputTensor(msgspec.Struct, frozen=True):
    """One input; its `data` is here, or behind the JSON where `binary_data_size` says so."""

    name: str
    datatype: str
    shape: list[int]
    parameters: Parameters = Parameters()
    data: Any = None


class WantedOutput(msgspec.Struct, frozen=True):
    """One output that is asked for."""

    name: str
    parameters: Parameters = Parameters()


class InferenceRequest(msgspec.Struct, frozen=True):
    """The JSON of a request."""

    inputs: list[InputTensor]
    outputs: list[WantedOutput] | None = None
    id: str | None = None
    parameters: Parameters = Parameters()


class OutputTensor(msgspec.Struct, frozen=True, omit_defaults=True):
    """One output as it is answered."""

    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, int] | None = None
    data: list[Any] | None = None


def split(body: bytes, header: str | None) -> tuple[InferenceRequest, memoryview]:
    """The JSON of a request and the raw bytes behind it; raises ProtocolError."""
    length = len(body)
    if header is not None:
        if not header.isdecimal() or int(header) > length:
            raise ProtocolError("Inference-Header-Content-Length is not the length of the JSON at the head of the body")
        length = int(header)
    try:
        return msgspec.json.decode(body[:length], type=InferenceRequest), memoryview(body)[length:]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"the request is not JSON of an inference request: {error}") from error


def raw_parts(inputs: list[InputTensor], raw: memoryview) -> list[memoryview | None]:
    """The raw bytes of each input, None for those whose data are in the JSON; raises ProtocolError."""
    parts: list[memoryview | None] = []
    for tensor in inputs:
        size = tensor.parameters.binary_data_size
        if size is None:
            parts.append(None)
            continue
        if not 0 <= size <= len(raw):
            raise ProtocolError(f"input {tensor.name!r}: binary_data_size is {size}, {len(raw)} bytes are there")
        parts.append(raw[:size])
        raw = raw[size:]
    if len(raw):
        raise ProtocolError(f"{len(raw)} bytes at the end of the body belong to no input")
    return parts


def pixels_of(tensor: InputTensor, raw: memoryview | None) -> NDArray[np.uint8]:
    """A UINT8 tensor [N, H, W, 3]; raises ProtocolError."""
    _check(tensor, "UINT8", dimensions=4)
    count = int(np.prod(tensor.shape))
    if raw is not None:
        if len(raw) != count:
            raise ProtocolError(f"input {tensor.name!r}: shape {tensor.shape} has {count} values, {len(raw)} came")
        return np.frombuffer(raw, np.uint8).reshape(tensor.shape)
    values = _array(tensor.data)
    if values.dtype.kind not in "iu" or values.size != count or values.min() < 0 or values.max() > 255:
        raise ProtocolError(f"input {tensor.name!r}: `data` is not {count} integers of 0..255")
    return values.astype(np.uint8).reshape(tensor.shape)


def photos_of(tensor: InputTensor, raw: memoryview | None) -> list[bytes]:
    """A BYTES tensor [N] of encoded photos, in the JSON as base64; raises ProtocolError."""
    _check(tensor, "BYTES", dimensions=1)
    photos = _unpack(tensor.name, raw) if raw is not None else _from_base64(tensor)
    if len(photos) != tensor.shape[0]:
        raise ProtocolError(f"input {tensor.name!r}: shape {tensor.shape}, but {len(photos)} photos came")
    return photos


def encode(name: str, values: NDArray[Any], *, binary: bool) -> tuple[OutputTensor, bytes]:
    """An output of float32 or of text, and its raw bytes, if any."""
    text = values.dtype.kind == "U"
    datatype = "BYTES" if text else "FP32"
    shape = list(values.shape)
    if not binary:
        data = values.ravel().tolist()
        return OutputTensor(name, datatype, shape, data=data), b""
    raw = b"".join(map(_packed, values.ravel().tolist())) if text else values.astype("<f4").tobytes()
    return OutputTensor(name, datatype, shape, parameters={"binary_data_size": len(raw)}), raw


def _check(tensor: InputTensor, datatype: str, *, dimensions: int) -> None:
    if tensor.datatype != datatype:
        raise ProtocolError(f"input {tensor.name!r}: its datatype is {tensor.datatype[:20]}, {datatype} is expected")
    if len(tensor.shape) != dimensions or min(tensor.shape) < 1:
        raise ProtocolError(f"input {tensor.name!r}: its shape {tensor.shape[:8]} has not {dimensions} dimensions >= 1")


def _array(data: Any) -> NDArray[Any]:
    """JSON's lists, flat or nested, as an array; what is uneven becomes an array of objects."""
    try:
        return np.asarray(data)
    except ValueError:
        return np.empty(0, object)


def _unpack(name: str, raw: memoryview) -> list[bytes]:
    photos = []
    while raw:
        size = int.from_bytes(raw[:_LENGTH_BYTES], "little")
        if len(raw) < _LENGTH_BYTES + size:
            raise ProtocolError(f"input {name!r}: an element is longer than what is left of its bytes")
        photos.append(bytes(raw[_LENGTH_BYTES : _LENGTH_BYTES + size]))
        raw = raw[_LENGTH_BYTES + size :]
    return photos


def _from_base64(tensor: InputTensor) -> list[bytes]:
    try:
        return [base64.b64decode(text, validate=True) for text in tensor.data]
    except (TypeError, ValueError, binascii.Error) as error:
        raise ProtocolError(f"input {tensor.name!r}: `data` is not a list of photos in base64") from error


def _packed(text: str) -> bytes:
    encoded = text.encode()
    return len(encoded).to_bytes(_LENGTH_BYTES, "little") + encoded
