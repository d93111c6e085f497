"""Networks as the importer gives them, made by hand: of any shape, with random weights, too large for the kernel."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from runtime.native.onnx_importer import Convolution, Network, Pooling, Quantisation, Residual

ONE = Quantisation(np.float32(1), 0)


def convolution(output: str, source: str, weights: np.ndarray[Any, Any], size: int, **changes: Any) -> Convolution:
    """Of random or of no weights [O, C, k, k]; `size` is its output's side, in places."""
    fields = {"stride": 1, "padding": 0, "input_quantisation": ONE, "quantisation": ONE, **changes}
    outputs = len(weights)
    scales, bias = np.ones(outputs, np.float32), np.zeros(outputs, np.int32)
    return Convolution(source, output, weights, **{"scales": scales, "bias": bias, "size": size, **fields})


def network(image_size: int, layers: list[Convolution | Pooling], classes: int = 2) -> Network:
    """With a classifier on top of the last layer."""
    channels = next(len(layer.weights) for layer in reversed(layers) if isinstance(layer, Convolution))
    weights = np.broadcast_to(np.float32(0), (classes, channels))
    bias = np.broadcast_to(np.float32(0), classes)
    return Network(image_size, layers, layers[-1].output, np.float32(1), weights, bias, np.float32(1))


def stem(image_size: int, outputs: int, **changes: Any) -> Convolution:
    """The first layer of ResNet18 on blocks of 2 x 2 pixels."""
    weights = np.ones((outputs, 12, 4, 4), np.int8)
    return convolution("stem", "blocks", weights, image_size // 2, **{"padding": 2, **changes})


def random_network(seed: int) -> Network:
    """A stem, a pooling, and layers of any width, some of which add a tensor; bytes of all values, many of them 0.

    Some layers have lost all their weights, or all of some inputs.
    """
    generator = np.random.default_rng(seed)
    size = 2 * int(generator.integers(4, 30))
    first = stem(size, int(generator.integers(1, 150)), input_quantisation=Quantisation(np.float32(1 / 255), 114))
    made = [_drawn(generator, first, zero_point=0)]  # as a pooling takes it
    pooled = (made[0].size - 1) // 2 + 1
    layers: list[Convolution | Pooling] = [made[0], Pooling("stem", "pooled", pooled)]
    channels, side, quantisation = len(made[0].weights), pooled, made[0].quantisation
    for i in range(6):
        kernel, stride = int(generator.choice([1, 3])), int(generator.choice([1, 1, 2]))
        before = made[-1] if i else None
        # As in a residual block, where nothing changes the shape.
        adds = before is not None and stride == 1 and generator.random() < 0.7
        outputs = channels if adds else int(generator.integers(1, 200))
        side = (side - 1) // stride + 1
        weights = np.zeros((outputs, channels, kernel, kernel), np.int8)
        layer = convolution(
            f"layer {i}",
            layers[-1].output,
            weights,
            side,
            stride=stride,
            padding=kernel // 2,
            input_quantisation=quantisation,
        )
        layer = _drawn(generator, layer)
        if adds and before is not None:
            own = Quantisation(np.float32(generator.uniform(0.5, 1.5)), int(generator.integers(0, 256)))
            layer = replace(layer, residual=Residual(before.output, quantisation, own))
        made.append(layer)
        layers.append(layer)
        channels, quantisation = outputs, layer.quantisation
    found = network(size, layers, classes=int(generator.integers(2, 9)))
    return replace(
        found,
        weights=generator.normal(size=found.weights.shape).astype(np.float32),
        bias=generator.normal(size=len(found.bias)).astype(np.float32),
    )


def _drawn(generator: np.random.Generator, layer: Convolution, zero_point: int | None = None) -> Convolution:
    """With random weights, biases and scales, such that sums become bytes of all values."""
    outputs, channels, kernel, _ = layer.weights.shape
    weights = generator.integers(-127, 128, layer.weights.shape)
    weights[:, generator.random(channels) < 0.3] = 0
    if generator.random() < 0.1:
        weights[:] = 0
    if zero_point is None:
        zero_point = int(generator.choice([0, 0, 128]))
    # A sum of so many products, each of a few thousand, becomes some tens.
    scale = generator.uniform(0.5, 2, outputs) / (80 * np.sqrt(kernel**2 * channels))
    return replace(
        layer,
        weights=weights.astype(np.int8),
        bias=generator.integers(-3000, 3000, outputs).astype(np.int32),
        scales=(scale / layer.input_quantisation.scale).astype(np.float32),
        quantisation=Quantisation(np.float32(1), zero_point),
    )
