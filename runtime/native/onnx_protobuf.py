"""ONNX file reader: as much of Protocol Buffers as a bundle's INT8 model needs: nodes, attributes, initializers.

Field numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto; `runtime/native/protobuf.py` has the
encoding. The `onnx` package would weigh more than the runtime's own code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.native.protobuf import Value, fields, read_varint

_GRAPH = 7
_NODE, _INITIALIZER, _INPUT, _OUTPUT = 1, 5, 11, 12
_NODE_INPUT, _NODE_OUTPUT, _OP_TYPE, _ATTRIBUTE = 1, 2, 4, 5
_ATTRIBUTE_NAME, _ATTRIBUTE_INT, _ATTRIBUTE_STRING, _ATTRIBUTE_INTS = 1, 3, 4, 8
_DIMS, _DATA_TYPE, _FLOATS, _INT32S, _INT64S, _TENSOR_NAME, _RAW = 1, 2, 4, 5, 7, 8, 9
_VALUE_NAME = 1
_DTYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 6: np.int32, 7: np.int64}


@dataclass(frozen=True)
class Node:
    """One operation: its inputs and outputs by name, attributes that are integers, and strings as their bytes."""

    operation: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, list[int]]


@dataclass(frozen=True)
class Graph:
    """A model's graph; `constants` are read-only views of the file's bytes."""

    nodes: list[Node]
    constants: dict[str, NDArray[np.generic]]
    inputs: list[str]
    outputs: list[str]


def read_graph(content: bytes) -> Graph:
    """The graph in an ONNX file. Raises ValueError for what is no such file or holds types we never write."""
    try:
        (graph,) = (value for number, value in fields(memoryview(content)) if number == _GRAPH)
        return _graph(_message(graph))
    except (IndexError, OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"not an ONNX file of ours: {error}") from error


def _graph(message: memoryview) -> Graph:
    found = list(fields(message))
    return Graph(
        nodes=[_node(value) for number, value in found if number == _NODE],
        constants=dict(_constant(value) for number, value in found if number == _INITIALIZER),
        inputs=[_text(_only(value, _VALUE_NAME)) for number, value in found if number == _INPUT],
        outputs=[_text(_only(value, _VALUE_NAME)) for number, value in found if number == _OUTPUT],
    )


def _node(value: Value) -> Node:
    found = list(fields(_message(value)))
    return Node(
        operation=_text(_only(value, _OP_TYPE)),
        inputs=[_text(each) for number, each in found if number == _NODE_INPUT],
        outputs=[_text(each) for number, each in found if number == _NODE_OUTPUT],
        attributes=dict(_attribute(each) for number, each in found if number == _ATTRIBUTE),
    )


def _attribute(value: Value) -> tuple[str, list[int]]:
    numbers: list[int] = []
    for number, each in fields(_message(value)):
        if number == _ATTRIBUTE_INT:
            numbers.append(_signed(each))
        elif number == _ATTRIBUTE_INTS:
            numbers += _integers(each)
        elif number == _ATTRIBUTE_STRING:
            numbers += _message(each)
    return _text(_only(value, _ATTRIBUTE_NAME)), numbers


def _constant(value: Value) -> tuple[str, NDArray[np.generic]]:
    found = list(fields(_message(value)))
    name = _text(_only(value, _TENSOR_NAME))
    shape = [side for number, each in found if number == _DIMS for side in _integers(each)]
    code = next((each for number, each in found if number == _DATA_TYPE), 0)
    if code not in _DTYPES:
        raise ValueError(f"{name} has the element type {code!r}")
    dtype = _DTYPES[int(code)]
    parts: list[NDArray[np.generic]] = []
    for number, each in found:
        if number in {_RAW, _FLOATS}:
            parts.append(np.frombuffer(_message(each), dtype))
        elif number in {_INT32S, _INT64S}:
            parts.append(np.array(_integers(each), dtype))
    if len(parts) == 1:
        return name, parts[0].reshape(shape)
    return name, (np.concatenate(parts) if parts else np.zeros(0, dtype)).reshape(shape)


def _only(value: Value, wanted: int) -> Value:
    """The last field of that number, as Protocol Buffers has it; an empty one where there is none."""
    found: Value = memoryview(b"")
    for number, each in fields(_message(value)):
        if number == wanted:
            found = each
    return found


def _integers(value: Value) -> list[int]:
    """One integer, or packed ones."""
    if isinstance(value, int):
        return [_signed(value)]
    numbers, at = [], 0
    while at < len(value):
        number, at = read_varint(value, at)
        numbers.append(_signed(number))
    return numbers


def _signed(value: Value) -> int:
    if not isinstance(value, int):
        raise TypeError("a number was expected")
    return value - 2**64 if value >= 2**63 else value


def _message(value: Value) -> memoryview:
    if isinstance(value, int):
        raise TypeError("a message was expected")
    return value


def _text(value: Value) -> str:
    return bytes(_message(value)).decode()
