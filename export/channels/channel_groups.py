"""Channel groups of an exported graph: which constants must change places together when channels do.

The outputs of a convolution may be computed in any order, if all that read them, and all that is added to them, know
it. What is tied together in this way is a group, such as the channels of one residual stream.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

Order = NDArray[np.int64]  # [channels]: the old place of each channel

_PASSES_CHANNELS = {"QuantizeLinear", "DequantizeLinear", "Relu", "MaxPool"}


class Axis(NamedTuple):
    """An axis of a constant along which the channels lie."""

    constant: str
    axis: int


@dataclass
class ChannelGroup:
    """`channels` that lie in one order in all of `tensors`, and along each of `axes`."""

    channels: int
    axes: list[Axis] = field(default_factory=list)
    tensors: list[str] = field(default_factory=list)


def channel_groups(model: onnx.ModelProto) -> list[ChannelGroup]:
    """The groups of a graph of `export`, in the order of its convolutions; INT8 and FP32 have the same.

    Raises ValueError where a graph does something with its channels that is not known here.
    """
    return _Reader(model.graph).read()


def permute(model: onnx.ModelProto, orders: Sequence[Order]) -> None:
    """Bring the channels of each group of `model` into the order given for it. The answers stay the same.

    Integer sums are exact; what is added up in floating point differs by rounding.
    """
    constants = {constant.name: constant for constant in model.graph.initializer}
    for group, order in zip(channel_groups(model), orders, strict=True):
        if not np.array_equal(np.sort(order), np.arange(group.channels)):
            raise ValueError(f"no order of {group.channels} channels: {order}")
        for name, axis in group.axes:
            values = np.ascontiguousarray(numpy_helper.to_array(constants[name]).take(order, axis))
            constants[name].CopyFrom(numpy_helper.from_array(values, name))


class _Reader:
    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._shapes = {constant.name: list(constant.dims) for constant in graph.initializer}
        self._parameters = {
            node.output[0]: node for node in graph.node if node.input and self._is_parameter(node)
        }  # dequantised name: its node
        self._groups: dict[str, ChannelGroup] = {}  # by tensor
        self._found: list[ChannelGroup] = []
        self._fixed: list[ChannelGroup] = []

    def read(self) -> list[ChannelGroup]:
        for node in self._graph.node:
            if node.output[0] not in self._parameters:
                self._take(node)
        for output in self._graph.output:
            self._fix(output.name)
        return [group for group in self._found if not any(group is fixed for fixed in self._fixed)]

    def _is_parameter(self, node: onnx.NodeProto) -> bool:
        return node.op_type == "DequantizeLinear" and node.input[0] in self._shapes

    def _take(self, node: onnx.NodeProto) -> None:
        if node.op_type == "Conv":
            self._convolution(node)
        elif node.op_type in _PASSES_CHANNELS:
            self._join(self._groups.get(node.input[0]), node.output[0])
        elif node.op_type == "Add" and all(name in self._groups for name in node.input):
            first, second = (self._groups[name] for name in node.input)
            self._join(self._merge(first, second), node.output[0])
        else:  # whatever it does, its inputs stay in their places
            for name in node.input:
                self._fix(name)

    def _convolution(self, node: onnx.NodeProto) -> None:
        if any(each.name == "group" and each.i != 1 for each in node.attribute):
            raise ValueError(f"{node.output[0]} is a convolution of groups")
        weights, *others = (list(self._constants(name)) for name in node.input[1:])
        source = self._groups.get(node.input[0])
        if source is not None:
            source.axes.append(Axis(weights[0], 1))
        outputs = self._shapes[weights[0]][0]
        group = ChannelGroup(outputs)
        group.axes += [
            Axis(name, 0) for names in (weights, *others) for name in names if self._shapes[name][:1] == [outputs]
        ]
        self._found.append(group)
        self._join(group, node.output[0])

    def _constants(self, name: str) -> Iterator[str]:
        """Of a parameter: its values, and what dequantises them, if anything."""
        yield from self._parameters[name].input if name in self._parameters else [name]

    def _join(self, group: ChannelGroup | None, tensor: str) -> None:
        if group is not None:
            group.tensors.append(tensor)
            self._groups[tensor] = group

    def _merge(self, first: ChannelGroup, second: ChannelGroup) -> ChannelGroup:
        """The earlier of the two groups, with all of the other."""
        if first is second:
            return first
        if first.channels != second.channels:
            raise ValueError(f"tensors of {first.channels} and {second.channels} channels are added")
        kept, gone = sorted((first, second), key=lambda group: next(i for i, g in enumerate(self._found) if g is group))
        kept.axes += gone.axes
        for tensor in gone.tensors:
            self._join(kept, tensor)
        self._found = [group for group in self._found if group is not gone]
        return kept

    def _fix(self, tensor: str) -> None:
        if tensor in self._groups:
            self._fixed.append(self._groups[tensor])
