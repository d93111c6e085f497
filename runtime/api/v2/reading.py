"""Reads the JSON and the tensor of a request: here if it is short, in a child process if it is long."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from runtime.api.v2.description import PHOTOS, PIXELS
from runtime.api.v2.tensors import (
    SHORT_BYTES,
    InferenceRequest,
    ProtocolError,
    TooMuchJson,
    check_parameters,
    photos_of,
    pixels_of,
    raw_part,
    read_json,
)
from runtime.serving.offload import ChildPool

_ERRORS: Mapping[str, type[ProtocolError]] = {error.__name__: error for error in (ProtocolError, TooMuchJson)}


class Sent(NamedTuple):
    """What a request sent: pixels [N, height, width, 3] or photos; and the outputs that it names, binary or not."""

    values: NDArray[np.uint8] | list[bytes]
    named: dict[str, bool | None]
    binary: bool
    id: str | None


class ReadingOrder(msgspec.Struct, frozen=True):
    """Of a body, `length` bytes are JSON, with `max_numbers` at most; a tensor has `max_photos` of height x width."""

    length: int
    max_numbers: int
    max_photos: int
    height: int
    width: int


class _Read(msgspec.Struct, frozen=True, tag=True):
    """`Sent`, as it comes from a child."""

    pixels: bytes | None
    photos: list[bytes]
    named: dict[str, bool | None]
    binary: bool
    id: str | None


class _Refused(msgspec.Struct, frozen=True, tag=True):
    """A ProtocolError, as it comes from a child."""

    error: str
    sentence: str


class JsonCount:
    """Counts the elements of JSON as it arrives, so that too many of them are refused before the rest is read."""

    def __init__(self, max_numbers: int, length: int | None) -> None:
        """The first `length` bytes of the body are JSON; None for all."""
        self._max_numbers = max_numbers
        self._left = length
        self._elements = 0

    def add(self, part: bytes) -> None:
        """The next bytes of the body. Raises TooMuchJson."""
        end = len(part) if self._left is None else min(len(part), self._left)
        if self._left is not None:
            self._left -= end
        self._elements += part.count(b",", 0, end)
        if self._elements > self._max_numbers + SHORT_BYTES:
            raise TooMuchJson.numbers(self._max_numbers)


def read(body: bytes, order: ReadingOrder) -> Sent:
    """Everything that a request says; raises ProtocolError."""
    asked = read_json(body[: order.length], order.max_numbers)
    check_parameters(asked)
    named = {output.name: output.parameters.binary_data for output in asked.outputs or ()}
    return Sent(_values(asked, body, order), named, bool(asked.parameters.binary_data_output), asked.id)


def read_in_child(data: bytes, args: ReadingOrder) -> _Read | _Refused:
    """As `read`."""
    try:
        sent = read(data, args)
    except ProtocolError as error:
        return _Refused(type(error).__name__, str(error))
    if isinstance(sent.values, list):
        return _Read(None, sent.values, sent.named, sent.binary, sent.id)
    return _Read(sent.values.tobytes(), [], sent.named, sent.binary, sent.id)


def read_by(children: ChildPool, body: bytes, order: ReadingOrder) -> Sent:
    """As `read`, in a child process if there is one; raises ChildDied, too."""
    with children.lease() as child:
        if child is None:
            return read(body, order)
        told: Any = child.call(read_in_child, body, order)
    if isinstance(told, _Refused):
        raise _ERRORS[told.error](told.sentence)
    values: NDArray[np.uint8] | list[bytes] = told.photos
    if told.pixels is not None:
        values = np.frombuffer(told.pixels, np.uint8).reshape(-1, order.height, order.width, 3)
    return Sent(values, told.named, told.binary, told.id)


def _values(asked: InferenceRequest, body: bytes, order: ReadingOrder) -> NDArray[np.uint8] | list[bytes]:
    tensor = asked.inputs[0]
    part = raw_part(tensor, memoryview(body)[order.length :])
    if tensor.name not in {PIXELS, PHOTOS}:
        raise ProtocolError(f"send one input: {PIXELS!r} (UINT8 [N, height, width, 3]) or {PHOTOS!r} (BYTES [N, 1])")
    if not tensor.shape or tensor.shape[0] > order.max_photos:
        raise ProtocolError(f"send at most {order.max_photos} photos at once, in a batch dimension")
    if tensor.name == PHOTOS:
        return photos_of(tensor, part)
    if tensor.shape[1:] != [order.height, order.width, 3]:
        raise ProtocolError(f"the pixels are of shape {tensor.shape[:8]}, not [N, {order.height}, {order.width}, 3]")
    return pixels_of(tensor, part)
