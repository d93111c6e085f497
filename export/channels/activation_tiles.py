"""Activations of an INT8 graph as the native kernel meets them: by tiles of outputs and places of the window.

docs/kernel.md says what a tile and a step of the reduction are, and when a step is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from runtime.bundle.input import ImageSpec
from runtime.host.cpu import available_cpus
from runtime.inference.onnxruntime_session import INPUT, session_options
from runtime.native.onnx_importer import Convolution, read_network
from runtime.native.onnx_protobuf import read_graph

BATCH = 8
CHANNELS = 32  # the kernel fills channels up to multiples of so many

Activations = Mapping[str, NDArray[np.uint8]]  # tensor: [N, H, W, C], a border of zeros not among them


class Tiling(NamedTuple):
    """A tile is `rows` neighbouring outputs, a step of the reduction `products` neighbouring channels."""

    rows: int
    products: int

    def __str__(self) -> str:
        """Both numbers, as tables name them."""
        return f"{self.rows}/{self.products}"


def convolutions(model: onnx.ModelProto, image_size: int) -> list[Convolution]:
    """Those of `model` whose input may have its channels in any order: all but the stem. Raises UnknownGraphError."""
    classes = model.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    spec = ImageSpec(height=image_size, width=image_size)
    network = read_network(read_graph(model.SerializeToString()), spec, classes)
    return [layer for layer in network.layers[1:] if isinstance(layer, Convolution)]


def activations(model: onnx.ModelProto, layers: list[Convolution], pixels: NDArray[np.uint8]) -> Activations:
    """What `layers` read for photos `pixels` [N, height, width, 3], in exact arithmetic."""
    names = list(dict.fromkeys(layer.input for layer in layers))
    probed = onnx.ModelProto()
    probed.CopyFrom(model)
    for name in names:
        probed.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UINT8, None))
    options = session_options(available_cpus())
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = ort.InferenceSession(probed.SerializeToString(), options, providers=["CPUExecutionProvider"])
    batches = (np.ascontiguousarray(pixels[start : start + BATCH]) for start in range(0, len(pixels), BATCH))
    parts = [session.run(names, {INPUT: batch}) for batch in batches]
    return {
        name: np.concatenate([part.transpose(0, 2, 3, 1) for part in column])
        for name, column in zip(names, zip(*parts, strict=True), strict=True)
    }


def multiply_adds(layer: Convolution) -> int:
    """Of one photo."""
    return layer.weights.size * layer.size**2


def tiles(layer: Convolution, nonzero: NDArray[np.bool_], rows: int) -> Iterator[NDArray[np.bool_]]:
    """For each place of the window [photos * tiles, C]: whether any of a tile's rows has something there.

    `nonzero` [N, H, W, C] says it of the layer's input; a C of steps in place of channels will do.
    """
    count, height, width, channels = nonzero.shape
    kernel, stride, size, before = layer.weights.shape[2], layer.stride, layer.size, layer.padding
    reach = stride * size + kernel
    padded = np.zeros((count, max(reach, before + height), max(reach, before + width), channels), np.bool_)
    padded[:, before : before + height, before : before + width] = nonzero
    number = -(-(size**2) // rows)
    outputs = np.zeros((count, number * rows, channels), np.bool_)
    for y, x in np.ndindex(kernel, kernel):
        seen = padded[:, y : y + stride * size : stride, x : x + stride * size : stride]
        outputs[:, : size**2] = seen.reshape(count, size**2, channels)
        by_row = outputs.reshape(count * number, rows, channels)
        found = by_row[:, 0].copy()
        for row in range(1, rows):
            found |= by_row[:, row]
        yield found


def needed_share(layer: Convolution, nonzero: NDArray[np.bool_], tiling: Tiling) -> NDArray[np.float64]:
    """[N]: which share of the layer's steps has something else than zeros in a tile; `nonzero` is its input's."""
    steps = _by_step(nonzero, tiling.products)
    places = list(tiles(layer, steps, tiling.rows))
    shares = [found.reshape(len(nonzero), -1).mean(axis=1) for found in places]
    return np.asarray(np.mean(shares, axis=0))


def _by_step(nonzero: NDArray[np.bool_], products: int) -> NDArray[np.bool_]:
    """[N, H, W, C] as [N, H, W, steps]: channels that fill up are zero."""
    *shape, channels = nonzero.shape
    padded = np.zeros((*shape, -(-channels // CHANNELS) * CHANNELS), np.bool_)
    padded[..., :channels] = nonzero
    steps: NDArray[np.bool_] = padded.view(f"u{products}") != 0  # several bytes at once
    return steps
