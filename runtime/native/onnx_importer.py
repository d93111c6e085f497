"""ONNX graph importer: a bundle's INT8 graph as convolutions, a max pooling and a pointwise FP32 classifier."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.bundle.input import ImageSpec
from runtime.native.onnx_protobuf import Graph, Node

# What an attribute is where a node does not state it (https://onnx.ai/onnx/operators).
_DEFAULTS: dict[str, dict[str, list[int]]] = {
    "Conv": {"auto_pad": [*b"NOTSET"], "dilations": [1, 1], "group": [1], "pads": [0] * 4, "strides": [1, 1]},
    "MaxPool": {
        "auto_pad": [*b"NOTSET"],
        "ceil_mode": [0],
        "dilations": [1, 1],
        "pads": [0] * 4,
        "storage_order": [0],
        "strides": [1, 1],
    },
    "ReduceMean": {"keepdims": [1], "noop_with_empty_axes": [0]},
    "Softmax": {"axis": [-1]},
    "DequantizeLinear": {"axis": [1], "block_size": [0]},
}
STRIDES = (1, 2)  # the room behind a tensor (`weight_packing.Tensor.bytes`) is enough for them


class UnknownGraphError(ValueError):
    """The graph holds something that the native kernel does not compute; onnxruntime does."""


class Quantisation(NamedTuple):
    """A byte q stands for (q - zero_point) * scale."""

    scale: np.float32
    zero_point: int


@dataclass(frozen=True)
class Residual:
    """A tensor that is added to what a convolution gives, which is quantised before (`own`) and after."""

    name: str
    quantisation: Quantisation
    own: Quantisation


@dataclass(frozen=True)
class Convolution:
    """`weights` [O, C, kernel, kernel] int8 with one scale an output; `bias` [O] int32 in units of the sums."""

    input: str
    output: str
    weights: NDArray[np.int8]
    scales: NDArray[np.float32]
    bias: NDArray[np.int32]
    stride: int
    padding: int  # before the first pixel
    size: int  # of the output, a side
    input_quantisation: Quantisation
    quantisation: Quantisation
    residual: Residual | None = None


@dataclass(frozen=True)
class Pooling:
    """Max pooling of 3 x 3 places with stride 2."""

    input: str
    output: str
    size: int


@dataclass(frozen=True)
class Network:
    """The layers in their order, and the classifier: `weights` [classes, C], `bias` [classes] and temperature."""

    image_size: int
    layers: list[Convolution | Pooling]
    features: str
    features_scale: np.float32
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    temperature: np.float32


def read_network(graph: Graph, spec: ImageSpec, classes: int) -> Network:
    """The network of an INT8 graph as `export` writes it.

    Raises UnknownGraphError for another one, or what reading it raises: `native_session.plan_of` makes that the same.
    """
    network = _Reader(graph, spec).read()
    if len(network.bias) != classes or len(network.weights) != classes:
        raise UnknownGraphError(f"it knows {len(network.weights)} classes")
    return network


class _Reader:
    """Walks the nodes in their order, which is one in which they can be computed."""

    def __init__(self, graph: Graph, spec: ImageSpec) -> None:
        self._nodes = graph.nodes
        self._constants = graph.constants
        self._ends = graph.inputs, graph.outputs
        self._uses = Counter(name for node in graph.nodes for name in node.inputs)
        self._size = spec.height
        self._square = spec.height == spec.width and spec.height % 2 == 0
        self._sides: dict[str, int] = {}  # of the quantised tensors
        self._as: dict[str, Quantisation] = {}  # what their bytes stand for
        self._quantised: dict[str, tuple[str, Quantisation]] = {}  # dequantised name: byte tensor
        self._pending: dict[str, Convolution | Pooling] = {}  # float name: the layer that gives it
        self._layers: list[Convolution | Pooling] = []

    def read(self) -> Network:
        if not self._square:
            raise UnknownGraphError("its photos are not squares of an even size")
        nodes = [node for node in self._nodes if not self._is_parameter(node)]
        self._space_to_depth(nodes[:4])
        end = next(i for i, node in enumerate(nodes) if node.operation == "Conv" and node.inputs[1] in self._constants)
        for node in nodes[4:end]:
            self._take(node)
        return self._classifier(nodes[end:])

    def _is_parameter(self, node: Node) -> bool:
        return node.operation == "DequantizeLinear" and node.inputs[0] in self._constants

    def _space_to_depth(self, nodes: Sequence[Node]) -> None:
        """Space to depth: the pixels as blocks of 2 x 2 (`export.graph.serving_graph.ServingGraph`)."""
        half = self._size // 2
        if [node.operation for node in nodes] != ["Reshape", "Transpose"] * 2:
            raise UnknownGraphError("it does not begin with blocks of pixels")
        shapes = [self._constants[node.inputs[1]].tolist() for node in nodes[::2]]
        orders = [node.attributes["perm"] for node in nodes[1::2]]
        expected = [[-1, half, 2, half, 2, 3], [-1, half, half, 12]], [[0, 1, 3, 2, 4, 5], [0, 3, 1, 2]]
        chained = all(later.inputs[0] == node.outputs[0] for node, later in pairwise(nodes))
        if (shapes, orders) != expected or not chained or self._ends[0] != nodes[0].inputs[:1]:
            raise UnknownGraphError("it does not begin with blocks of 2 x 2 pixels of the manifest's size")
        self._sides[nodes[-1].outputs[0]] = half

    def _take(self, node: Node) -> None:
        if node.outputs[0] in {*self._sides, *self._quantised, *self._pending}:
            raise UnknownGraphError(f"two tensors are called {node.outputs[0]}")
        if node.operation == "DequantizeLinear":
            self._dequantise(node)
        elif node.operation == "QuantizeLinear":
            self._requantize(node)
        elif node.operation == "Conv":
            self._pending[node.outputs[0]] = self._convolution(node)
        elif node.operation == "MaxPool":
            self._pending[node.outputs[0]] = self._pooling(node)
        elif node.operation == "Add":
            self._pending[node.outputs[0]] = self._addition(node)
        else:
            raise UnknownGraphError(f"it holds {node.operation}")

    def _dequantise(self, node: Node) -> None:
        name, quantisation = node.inputs[0], self._quantisation(node)
        if name not in self._sides:
            raise UnknownGraphError(f"{name} is no tensor of bytes")
        if self._as.setdefault(name, quantisation) != quantisation:
            raise UnknownGraphError(f"{name} is read in two ways")
        self._quantised[node.outputs[0]] = (name, quantisation)

    def _requantize(self, node: Node) -> None:
        layer = self._pending.pop(node.inputs[0])
        name, quantisation = node.outputs[0], self._quantisation(node)
        if self._uses[node.inputs[0]] != 1:
            raise UnknownGraphError(f"{node.inputs[0]} is needed before it is quantised")
        if isinstance(layer, Pooling):
            if quantisation != self._as[layer.input]:
                raise UnknownGraphError("its pooling changes the scale")
            self._layers.append(replace(layer, output=name))
        else:
            self._layers.append(replace(layer, output=name, quantisation=quantisation))
        self._sides[name] = layer.size
        self._as[name] = quantisation

    def _convolution(self, node: Node) -> Convolution:
        name, quantisation = self._quantised[node.inputs[0]]
        weights, scales = self._weights(node.inputs[1])
        outputs, _, kernel, width = weights.shape
        found = _attributes(node)
        (stride, across), pads = found["strides"], found["pads"]
        square = kernel == width and stride == across and pads == [pads[0], pads[0], pads[2], pads[2]]
        if (
            not square
            or stride not in STRIDES
            or not _is(node, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=pads)
        ):
            raise UnknownGraphError(f"{node.outputs[0]} is another convolution")
        size = (self._sides[name] + pads[0] + pads[2] - kernel) // stride + 1
        if size < 1:
            raise UnknownGraphError(f"nothing is left of {node.outputs[0]}")
        return Convolution(
            input=name,
            output="",
            weights=weights,
            scales=scales,
            bias=self._bias(node, quantisation.scale * scales, outputs),
            stride=stride,
            padding=pads[0],
            size=size,
            input_quantisation=quantisation,
            quantisation=quantisation,
        )

    def _weights(self, name: str) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """[O, C, k, k] and a scale for each of the O."""
        node, values, scales = self._parameter(name)
        each = _attributes(node)["axis"] == [0] and scales.shape == values.shape[:1]
        if values.dtype != np.int8 or values.ndim != 4 or not (each or scales.size == 1):
            raise UnknownGraphError(f"{name} is quantised in another way")
        return values.astype(np.int8, copy=False), np.broadcast_to(scales.ravel(), len(values))

    def _bias(self, node: Node, scales: NDArray[np.float32], outputs: int) -> NDArray[np.int32]:
        """[O], in units of the sums; zeros where there is none."""
        if len(node.inputs) < 3:
            return np.zeros(outputs, np.int32)
        parameter, values, found = self._parameter(node.inputs[2])
        alike = found.size in {1, outputs} and np.allclose(found, scales, rtol=1e-4, atol=0)
        if values.dtype != np.int32 or values.shape != (outputs,) or not alike:
            raise UnknownGraphError(f"{parameter.outputs[0]} is quantised in another way")
        return values.astype(np.int32, copy=False)

    def _pooling(self, node: Node) -> Pooling:
        name, quantisation = self._quantised[node.inputs[0]]
        if not _is(node, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4) or quantisation.zero_point:
            raise UnknownGraphError(f"{node.outputs[0]} is another pooling")
        return Pooling(input=name, output="", size=(self._sides[name] - 1) // 2 + 1)

    def _addition(self, node: Node) -> Convolution:
        """The latest convolution with the other tensor added to what it gives."""
        own, other = sorted(node.inputs, key=self._age, reverse=True)
        (name, quantisation), residual = self._quantised[own], self._quantised[other]
        latest = self._layers[-1]
        alone = self._uses[own] == self._uses[name] == 1
        if not isinstance(latest, Convolution) or latest.output != name or latest.residual or not alone:
            raise UnknownGraphError(f"{node.outputs[0]} adds to something else than the latest convolution")
        self._layers.pop()
        return replace(latest, residual=Residual(*residual, quantisation))

    def _age(self, name: str) -> int:
        return [layer.output for layer in self._layers].index(self._quantised[name][0])

    def _classifier(self, nodes: Sequence[Node]) -> Network:
        kinds = [node.operation for node in nodes]
        tail = [node.inputs[1] for node in nodes if node.operation in {"Add", "Div"}]
        chained = all(later.inputs[0] == node.outputs[0] for node, later in pairwise(nodes))
        if kinds not in (["Conv", "ReduceMean", "Add", "Div", "Softmax"], ["Conv", "ReduceMean", "Add", "Softmax"]):
            raise UnknownGraphError(f"it ends with {', '.join(kinds)}")
        convolution, mean, softmax = nodes[0], nodes[1], nodes[-1]
        name, quantisation = self._quantised[convolution.inputs[0]]
        weights = self._constants[convolution.inputs[1]]
        bias = self._constants[tail[0]]
        if (
            not chained
            or quantisation.zero_point
            or len(convolution.inputs) != 2
            or weights.shape[2:] != (1, 1)
            or bias.shape != weights.shape[:1]
            or not _is(convolution, kernel_shape=[1, 1])
            or not _is(mean, keepdims=[0])
            or self._constants[mean.inputs[1]].tolist() != [2, 3]
            or _attributes(softmax)["axis"] not in ([1], [-1])
            or self._ends[1] != [softmax.outputs[0], convolution.outputs[0]]
        ):
            raise UnknownGraphError("its classifier is another one")
        temperature = self._constants[tail[1]] if len(tail) > 1 else np.ones((), np.float32)
        return Network(
            image_size=self._size,
            layers=self._layers,
            features=name,
            features_scale=quantisation.scale,
            weights=weights[:, :, 0, 0].astype(np.float32),
            bias=bias.astype(np.float32),
            temperature=np.float32(temperature.item()),
        )

    def _quantisation(self, node: Node) -> Quantisation:
        scale, zero_point = (self._constants[name] for name in node.inputs[1:])
        if scale.dtype != np.float32 or zero_point.dtype != np.uint8 or not 0 < scale.item() < np.inf:
            raise UnknownGraphError(f"{node.outputs[0]} is quantised in another way")
        return Quantisation(np.float32(scale.item()), int(zero_point.item()))

    def _parameter(self, name: str) -> tuple[Node, NDArray[np.generic], NDArray[np.float32]]:
        """The node that dequantises a constant, its values and its scales; zero points there are none."""
        node = next(node for node in self._nodes if node.outputs[0] == name)
        values, scales, *zero_points = (self._constants[each] for each in node.inputs)
        finite = scales.dtype == np.float32 and bool(np.isfinite(scales).all())
        if not finite or any(each.any() for each in zero_points) or _attributes(node)["block_size"] != [0]:
            raise UnknownGraphError(f"{name} is quantised in another way")
        return node, values, scales.astype(np.float32, copy=False)


def _attributes(node: Node) -> dict[str, list[int]]:
    """Those that are stated, and the others' defaults."""
    return {**_DEFAULTS.get(node.operation, {}), **node.attributes}


def _is(node: Node, **expected: list[int]) -> bool:
    """Whether its attributes are these, and else the defaults."""
    return _attributes(node) == {**_DEFAULTS[node.operation], **expected}
