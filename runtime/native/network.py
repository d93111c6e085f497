"""What a bundle's INT8 model computes, read from its graph: convolutions, one pooling, the classifier."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.image import ImageSpec
from runtime.native.model_file import Graph, Node


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
    """The largest of 3 x 3 places, every second one."""

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
    """The network of an INT8 graph as `export` writes it. Raises UnknownGraphError for any other."""
    try:
        network = _Reader(graph, spec).read()
    except (IndexError, KeyError, StopIteration, TypeError) as error:
        raise UnknownGraphError(f"the graph has another shape ({error!r})") from error
    if len(network.bias) != classes or len(network.weights) != classes:
        raise UnknownGraphError(f"it knows {len(network.weights)} classes")
    return network


class _Reader:
    """Walks the nodes in their order, which is one in which they can be computed."""

    def __init__(self, graph: Graph, spec: ImageSpec) -> None:
        self._nodes = graph.nodes
        self._constants = graph.constants
        self._uses = Counter(name for node in graph.nodes for name in node.inputs)
        self._size = spec.height
        self._square = spec.height == spec.width and spec.height % 2 == 0
        self._sides: dict[str, int] = {}  # of the quantised tensors
        self._quantised: dict[str, tuple[str, Quantisation]] = {}  # dequantised name: byte tensor
        self._pending: dict[str, Convolution | Pooling] = {}  # float name: the layer that gives it
        self._layers: list[Convolution | Pooling] = []

    def read(self) -> Network:
        if not self._square:
            raise UnknownGraphError("its photos are not squares of an even size")
        nodes = [node for node in self._nodes if not self._is_parameter(node)]
        self._blocks(nodes[:4])
        end = next(i for i, node in enumerate(nodes) if node.operation == "Conv" and node.inputs[1] in self._constants)
        for node in nodes[4:end]:
            self._take(node)
        return self._classifier(nodes[end:])

    def _is_parameter(self, node: Node) -> bool:
        return node.operation == "DequantizeLinear" and node.inputs[0] in self._constants

    def _blocks(self, nodes: Sequence[Node]) -> None:
        """The pixels as blocks of 2 x 2: `export.graph.ServingGraph`."""
        half = self._size // 2
        if [node.operation for node in nodes] != ["Reshape", "Transpose"] * 2:
            raise UnknownGraphError("it does not begin with blocks of pixels")
        shapes = [self._constants[node.inputs[1]].tolist() for node in nodes[::2]]
        orders = [node.attributes["perm"] for node in nodes[1::2]]
        expected = [[-1, half, 2, half, 2, 3], [-1, half, half, 12]], [[0, 1, 3, 2, 4, 5], [0, 3, 1, 2]]
        chained = all(later.inputs[0] == node.outputs[0] for node, later in pairwise(nodes))
        if (shapes, orders) != expected or not chained:
            raise UnknownGraphError("it does not begin with blocks of 2 x 2 pixels of the manifest's size")
        self._sides[nodes[-1].outputs[0]] = half

    def _take(self, node: Node) -> None:
        if node.operation == "DequantizeLinear":
            if node.inputs[0] not in self._sides:
                raise UnknownGraphError(f"{node.inputs[0]} is no tensor of bytes")
            self._quantised[node.outputs[0]] = (node.inputs[0], self._quantisation(node))
        elif node.operation == "QuantizeLinear":
            self._finish(node)
        elif node.operation == "Conv":
            self._pending[node.outputs[0]] = self._convolution(node)
        elif node.operation == "MaxPool":
            self._pending[node.outputs[0]] = self._pooling(node)
        elif node.operation == "Add":
            self._pending[node.outputs[0]] = self._addition(node)
        else:
            raise UnknownGraphError(f"it holds {node.operation}")

    def _finish(self, node: Node) -> None:
        layer = self._pending.pop(node.inputs[0])
        name, quantisation = node.outputs[0], self._quantisation(node)
        if self._uses[node.inputs[0]] != 1:
            raise UnknownGraphError(f"{node.inputs[0]} is needed before it is quantised")
        if isinstance(layer, Pooling):
            if quantisation != self._quantised_as(layer.input):
                raise UnknownGraphError("its pooling changes the scale")
            self._layers.append(replace(layer, output=name))
        else:
            self._layers.append(replace(layer, output=name, quantisation=quantisation))
        self._sides[name] = layer.size

    def _convolution(self, node: Node) -> Convolution:
        name, quantisation = self._quantised[node.inputs[0]]
        weights, scales, zero_points = self._parameter(node.inputs[1])
        outputs, _, kernel, width = weights.shape
        bias = self._parameter(node.inputs[2])[0] if len(node.inputs) > 2 else np.zeros(outputs, np.int32)
        (stride, across), pads = node.attributes["strides"], node.attributes["pads"]
        size = (self._sides[name] + pads[0] + pads[2] - kernel) // stride + 1
        plain = node.attributes["group"] == [1] and node.attributes["dilations"] == [1, 1]
        square = kernel == width and stride == across and pads[:2] == [pads[0]] * 2 and pads[2:] == [pads[2]] * 2
        if not plain or not square or weights.dtype != np.int8 or zero_points.any() or size < 1:
            raise UnknownGraphError(f"{node.outputs[0]} is another convolution")
        return Convolution(
            input=name,
            output="",
            weights=weights.astype(np.int8, copy=False),
            scales=np.broadcast_to(scales.astype(np.float32, copy=False), outputs),
            bias=bias.astype(np.int32, copy=False),
            stride=stride,
            padding=pads[0],
            size=size,
            input_quantisation=quantisation,
            quantisation=quantisation,
        )

    def _pooling(self, node: Node) -> Pooling:
        name, quantisation = self._quantised[node.inputs[0]]
        found = [node.attributes[key] for key in ("kernel_shape", "strides", "pads", "ceil_mode")]
        if found != [[3, 3], [2, 2], [1, 1, 1, 1], [0]] or quantisation.zero_point:
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

    def _quantised_as(self, name: str) -> Quantisation:
        return next(quantisation for found, quantisation in self._quantised.values() if found == name)

    def _classifier(self, nodes: Sequence[Node]) -> Network:
        kinds = [node.operation for node in nodes]
        tail = [node.inputs[1] for node in nodes if node.operation in {"Add", "Div"}]
        chained = all(later.inputs[0] == node.outputs[0] for node, later in pairwise(nodes))
        if kinds not in (["Conv", "ReduceMean", "Add", "Div", "Softmax"], ["Conv", "ReduceMean", "Add", "Softmax"]):
            raise UnknownGraphError(f"it ends with {', '.join(kinds)}")
        name, quantisation = self._quantised[nodes[0].inputs[0]]
        weights = self._constants[nodes[0].inputs[1]]
        axes = self._constants[nodes[1].inputs[1]].tolist()
        if weights.shape[2:] != (1, 1) or axes != [2, 3] or quantisation.zero_point or not chained:
            raise UnknownGraphError("its classifier is another one")
        temperature = self._constants[tail[1]] if len(tail) > 1 else np.ones((), np.float32)
        return Network(
            image_size=self._size,
            layers=self._layers,
            features=name,
            features_scale=quantisation.scale,
            weights=weights[:, :, 0, 0].astype(np.float32),
            bias=self._constants[tail[0]].astype(np.float32),
            temperature=np.float32(temperature.item()),
        )

    def _quantisation(self, node: Node) -> Quantisation:
        scale, zero_point = (self._constants[name] for name in node.inputs[1:3])
        return Quantisation(np.float32(scale.item()), int(zero_point.item()))

    def _parameter(self, name: str) -> list[NDArray[np.generic]]:
        """The values, scales and zero points of a dequantised constant."""
        node = next(node for node in self._nodes if node.outputs[0] == name)
        return [self._constants[each] for each in node.inputs]
