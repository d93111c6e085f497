"""A new head for an ONNX file: the backbone's classifier tensors are replaced, and all else stays byte for byte.

Field numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto. The `onnx` package, which would do
this too, is too heavy for an edge host; the tests hold the result to its checker.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from runtime.native.protobuf import Value, field, fields

# The tensors of the head in a backbone's file, and the outputs whose shapes follow from them (`export/backbone.py`).
WEIGHTS, BIAS, TEMPERATURE = "evidence.weight", "bias", "temperature"
PROBABILITIES, ACTIVATION_MAP = "probabilities", "activation_map"

_GRAPH, _INITIALIZER, _OUTPUT = 7, 5, 12
_DIMS, _DATA_TYPE, _TENSOR_NAME, _RAW = 1, 2, 8, 9
_VALUE_NAME, _VALUE_TYPE, _TENSOR_TYPE, _ELEMENT_TYPE, _SHAPE, _DIM, _DIM_VALUE = 1, 2, 1, 1, 2, 1, 1
_FLOAT = 1
_CLASSES_AXIS = 1


def with_head(model: bytes, weights: NDArray[np.float32], bias: NDArray[np.float32], temperature: float) -> bytes:
    """The ONNX file `model` with another classifier: `weights` [C, D], `bias` [C], and what divides the logits.

    Raises ValueError if the file has no head of that kind, or if it takes another number of features.
    """
    tensors = {
        WEIGHTS: weights[:, :, np.newaxis, np.newaxis],
        BIAS: bias,
        TEMPERATURE: np.array(temperature, np.float32),
    }
    parts = []
    for number, value in fields(memoryview(model)):
        parts.append(field(number, b"".join(_graph(_message(value), tensors)) if number == _GRAPH else value))
    return b"".join(parts)


def features_of(model: bytes) -> int:
    """How many features the head of a backbone takes. Raises ValueError if it has none."""
    for number, value in fields(memoryview(model)):
        for each, part in fields(_message(value)) if number == _GRAPH else ():
            if each == _INITIALIZER and _name(part, _TENSOR_NAME) == WEIGHTS:
                return _dims(part)[1]
    raise ValueError(f"the ONNX file has no {WEIGHTS}; it is no backbone")


def _graph(graph: memoryview, tensors: dict[str, NDArray[np.float32]]) -> Iterator[bytes]:
    found = set()
    for number, value in fields(graph):
        if number == _INITIALIZER and (name := _name(value, _TENSOR_NAME)) in tensors:
            _check_features(name, value, tensors[name])
            found.add(name)
            yield field(number, _tensor(name, tensors[name]))
        elif number == _OUTPUT:
            found.add(_name(value, _VALUE_NAME))
            yield field(number, _with_classes(value, len(tensors[BIAS])))
        else:
            yield field(number, value)
    if missing := {*tensors, PROBABILITIES, ACTIVATION_MAP} - found:
        raise ValueError(f"the ONNX file has no {', '.join(sorted(missing))}; it is no backbone")


def _check_features(name: str, value: Value, tensor: NDArray[np.float32]) -> None:
    if name == WEIGHTS and (dims := _dims(value))[1:] != list(tensor.shape[1:]):
        raise ValueError(f"the backbone has {dims[1]} features, the head takes {tensor.shape[1]}")


def _dims(value: Value) -> list[int]:
    return [dim for number, dim in fields(_message(value)) if number == _DIMS and isinstance(dim, int)]


def _tensor(name: str, values: NDArray[np.float32]) -> bytes:
    dims = b"".join(field(_DIMS, side) for side in values.shape)
    raw = values.astype("<f4").tobytes()
    return dims + field(_DATA_TYPE, _FLOAT) + field(_TENSOR_NAME, name.encode()) + field(_RAW, raw)


def _with_classes(value: Value, classes: int) -> bytes:
    """An output's description with another length of its second axis, that of the classes."""
    return _replaced(value, (_VALUE_TYPE, _TENSOR_TYPE, _SHAPE), classes)


def _replaced(value: Value, path: tuple[int, ...], classes: int) -> bytes:
    parts, axis = [], -1
    for number, each in fields(_message(value)):
        if path and number == path[0]:
            parts.append(field(number, _replaced(each, path[1:], classes)))
        elif not path and number == _DIM and (axis := axis + 1) == _CLASSES_AXIS:
            parts.append(field(number, field(_DIM_VALUE, classes)))
        else:
            parts.append(field(number, each))
    return b"".join(parts)


def _name(value: Value, number: int) -> str:
    return next(bytes(_message(each)).decode() for at, each in fields(_message(value)) if at == number)


def _message(value: Value) -> memoryview:
    if isinstance(value, int):
        raise TypeError("a message was expected")
    return value
