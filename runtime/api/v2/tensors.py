"""Tensor encoding of the Open Inference Protocol: JSON, or raw little-endian bytes after the JSON.

JSON takes ten times the memory and the time of the tensor that it stands for. It is bounded before it is decoded, and
no Python object is made of anything that a tensor of the right shape would not hold.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from runtime.names import NOT_JSON

HEADER = "inference-header-content-length"
_LENGTH_BYTES = 4  # before each element of a BYTES tensor
SHORT_BYTES = 1 << 16  # of JSON: what stands beside the data of the tensor fits into it
_SLICE_BYTES = 1 << 18  # is read at once, in a millisecond: the interpreter's lock is free in between
_LITERAL = b"0123456789 \t\r\n"  # what JSON's lists of natural numbers have beside brackets and commas


_NOT_OFFERED = {
    "classification": "ask for the output `label`, or sort `probabilities`",
    "shared_memory_region": "send the tensor in the request, in JSON or binary",
    "sequence_id": "each request stands for itself",
}


class ProtocolError(ValueError):
    """A request that the protocol does not allow; the message is one sentence for whoever sent it."""

    status = HTTPStatus.BAD_REQUEST


class TooMuchJson(ProtocolError):
    """More JSON than a tensor of the largest shape takes."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE

    @classmethod
    def numbers(cls, most: int) -> TooMuchJson:
        """The error for more than `most` numbers."""
        return cls(f"the JSON has more than the {most} numbers accepted; send a binary tensor")


class Parameters(msgspec.Struct, frozen=True):
    """Those parameters that mean something here, and those that would change the answer and are not offered."""

    binary_data_size: int | None = None
    binary_data: bool | None = None
    binary_data_output: bool | None = None
    classification: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    shared_memory_region: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    sequence_id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class InputTensor(msgspec.Struct, frozen=True):
    """One input; its `data` is here, or behind the JSON where `binary_data_size` says so."""

    name: str
    datatype: str
    shape: list[int]
    parameters: Parameters = Parameters()
    data: msgspec.Raw = msgspec.Raw(b"null")  # decoded once its shape is known to be right


class WantedOutput(msgspec.Struct, frozen=True):
    """One output that is asked for."""

    name: str
    parameters: Parameters = Parameters()


class InferenceRequest(msgspec.Struct, frozen=True):
    """The JSON of a request."""

    inputs: tuple[InputTensor]
    outputs: list[WantedOutput] | None = None
    id: str | None = None
    parameters: Parameters = Parameters()


class _Data(msgspec.Struct):
    """An input of which no more than the extent of its data is of interest."""

    data: msgspec.Raw = msgspec.Raw(b"")


class _Extent(msgspec.Struct):
    """A request of which no more than the extent of its data is of interest."""

    inputs: tuple[_Data]


class OutputTensor(msgspec.Struct, frozen=True, omit_defaults=True):
    """One output as it is answered."""

    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, int] | None = None
    data: list[Any] | None = None


def json_length(body: bytes, header: str | None) -> int:
    """The bytes of JSON at the head of the body; raises ProtocolError."""
    if header is None:
        return len(body)
    if not header.isdecimal() or len(header) > len(str(len(body))) or int(header) > len(body):
        raise ProtocolError("Inference-Header-Content-Length is not the length of the JSON at the head of the body")
    return int(header)


def read_json(text: bytes, max_numbers: int) -> InferenceRequest:
    """The JSON of a request, which may hold `max_numbers` at most; raises ProtocolError."""
    try:
        if len(text) > SHORT_BYTES:
            _check_extent(text, max_numbers)
        return msgspec.json.decode(text, type=InferenceRequest)
    except NOT_JSON as error:
        hint = "; send one input" if "$.inputs`" in str(error) else ""
        raise ProtocolError(f"the request is not JSON of an inference request: {error}{hint}") from error


def check_parameters(asked: InferenceRequest) -> None:
    """Raise ProtocolError for a parameter that would change the answer and is not offered."""
    named = [("the request", asked.parameters), *((f"input {each.name!r}", each.parameters) for each in asked.inputs)]
    named += [(f"output {each.name!r}", each.parameters) for each in asked.outputs or ()]
    for place, parameters in named:
        for name, remedy in _NOT_OFFERED.items():
            if getattr(parameters, name) is not msgspec.UNSET:
                raise ProtocolError(f"{place[:80]}: the parameter `{name}` is not offered here; {remedy}")


def raw_part(tensor: InputTensor, raw: memoryview) -> memoryview | None:
    """The raw bytes of the only input, None if its data are in the JSON; raises ProtocolError."""
    size = tensor.parameters.binary_data_size
    if size is not None and not 0 <= size <= len(raw):
        raise ProtocolError(f"input {tensor.name!r}: binary_data_size is {size}, {len(raw)} bytes are there")
    if len(raw) > (size or 0):
        raise ProtocolError(f"{len(raw) - (size or 0)} bytes at the end of the body belong to no input")
    return None if size is None else raw


def pixels_of(tensor: InputTensor, raw: memoryview | None) -> NDArray[np.uint8]:
    """A UINT8 tensor [N, H, W, 3], in JSON flat or nested; raises ProtocolError."""
    _check(tensor, "UINT8", dimensions=4)
    count = math.prod(tensor.shape)
    if raw is None:
        values = _numbers(bytes(tensor.data), tensor.shape)
        if values is None:
            raise ProtocolError(f"input {tensor.name!r}: `data` is not {count} integers of 0..255")
        return values.reshape(tensor.shape)
    if len(raw) != count:
        raise ProtocolError(f"input {tensor.name!r}: shape {tensor.shape} has {count} values, {len(raw)} came")
    return np.frombuffer(raw, np.uint8).reshape(tensor.shape)


def photos_of(tensor: InputTensor, raw: memoryview | None) -> list[bytes]:
    """A BYTES tensor [N, 1] or [N] of encoded photos, in the JSON as base64; raises ProtocolError."""
    _check(tensor, "BYTES", dimensions=2 if tensor.shape[1:] == [1] else 1)
    photos = _unpack(tensor, raw) if raw is not None else _from_base64(tensor)
    if len(photos) != tensor.shape[0]:
        raise ProtocolError(f"input {tensor.name!r}: shape {tensor.shape}, but {len(photos)} photos came")
    return photos


def encode(name: str, values: NDArray[Any], *, binary: bool) -> tuple[OutputTensor, bytes]:
    """An output of float32, of truth values or of text, and its raw bytes, if any."""
    text = values.dtype.kind == "U"
    datatype = "BYTES" if text else "BOOL" if values.dtype == bool else "FP32"
    shape = list(values.shape)
    if not binary:
        data = values.ravel().tolist()
        return OutputTensor(name, datatype, shape, data=data), b""
    numbers = {"FP32": "<f4", "BOOL": "?"}
    raw = b"".join(map(_packed, values.ravel())) if text else values.astype(numbers[datatype]).tobytes()
    return OutputTensor(name, datatype, shape, parameters={"binary_data_size": len(raw)}), raw


def _check(tensor: InputTensor, datatype: str, *, dimensions: int) -> None:
    if tensor.datatype != datatype:
        raise ProtocolError(f"input {tensor.name!r}: its datatype is {tensor.datatype[:20]}, {datatype} is expected")
    if len(tensor.shape) != dimensions or min(tensor.shape) < 1:
        raise ProtocolError(f"input {tensor.name!r}: its shape {tensor.shape[:8]} has not {dimensions} dimensions >= 1")


def _check_extent(text: bytes, max_numbers: int) -> None:
    """Raise TooMuchJson for more elements than the largest tensor has, and for much beside the data."""
    elements = 0
    for start in range(0, len(text), _SLICE_BYTES):
        elements += text.count(b",", start, start + _SLICE_BYTES)
        if elements > max_numbers + SHORT_BYTES:
            raise TooMuchJson.numbers(max_numbers)
    beside = len(text) - len(bytes(msgspec.json.decode(text, type=_Extent).inputs[0].data))
    if beside > SHORT_BYTES:
        raise TooMuchJson(f"beside the data there are {beside} bytes of JSON, more than the {SHORT_BYTES} accepted")


def _numbers(text: bytes, shape: Sequence[int]) -> NDArray[np.uint8] | None:
    """JSON's lists of 0..255 in one dimension or more of `shape`, as a flat array; None if it is anything else."""
    outline = text.translate(None, _LITERAL)
    if not any(outline == _outline(shape, nested) for nested in range(len(shape))):
        return None
    digits = text.translate(None, b"[] \t\r\n")
    values, start = np.empty(math.prod(shape), np.uint8), 0
    for part in _slices(digits):
        numbers = np.fromstring(part, np.int64, sep=",")
        if numbers.max() > 255:
            return None
        values[start : start + len(numbers)] = numbers
        start += len(numbers)
    return values


def _outline(shape: Sequence[int], nested: int) -> bytes:
    """Brackets and commas of a tensor whose first `nested` dimensions are lists of lists; the others are flat."""
    outline = b"[" + b"," * (math.prod(shape[nested:]) - 1) + b"]"
    for size in reversed(shape[:nested]):
        outline = b"[" + b",".join([outline] * size) + b"]"
    return outline


def _slices(digits: bytes) -> Iterator[str]:
    """The text of a flat list, in parts that end at a comma."""
    start = 0
    while start < len(digits):
        end = digits.find(b",", start + _SLICE_BYTES)
        end = len(digits) if end < 0 else end
        yield digits[start:end].decode()
        start = end + 1


def _unpack(tensor: InputTensor, raw: memoryview) -> list[bytes]:
    photos: list[bytes] = []
    while raw:
        size = int.from_bytes(raw[:_LENGTH_BYTES], "little")
        if len(raw) < _LENGTH_BYTES + size:
            raise ProtocolError(f"input {tensor.name!r}: an element is longer than what is left of its bytes")
        if len(photos) == tensor.shape[0]:
            raise ProtocolError(f"input {tensor.name!r}: shape {tensor.shape}, but more photos came")
        photos.append(bytes(raw[_LENGTH_BYTES : _LENGTH_BYTES + size]))
        raw = raw[_LENGTH_BYTES + size :]
    return photos


def _from_base64(tensor: InputTensor) -> list[bytes]:
    text = bytes(tensor.data)
    if text.count(b'"') > 2 * tensor.shape[0]:  # there are none within base64
        raise ProtocolError(f"input {tensor.name!r}: shape {tensor.shape}, but more photos came")
    try:
        photos = msgspec.json.decode(text, type=list[str | tuple[str]])
        return [base64.b64decode(one if isinstance(one, str) else one[0], validate=True) for one in photos]
    except (*NOT_JSON, ValueError, binascii.Error) as error:
        raise ProtocolError(f"input {tensor.name!r}: `data` is not a list of photos in base64") from error


def _packed(text: str) -> bytes:
    encoded = text.encode()
    return len(encoded).to_bytes(_LENGTH_BYTES, "little") + encoded
