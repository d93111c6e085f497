"""Heat map: render a class-activation map as a transparent layer or over the photo."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LONGEST_SIDE = 1024  # px of an overlay: more shows nothing more
STRONGEST = 0.75  # opacity of the strongest evidence

# From nothing over violet and orange to pale yellow: lightness grows evenly, so that it reads without colour, too.
_ANCHORS = np.array([[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]], np.float32)


def evidence(activation_map: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale one class's map [h, w] to 0..1: nothing and less than nothing is 0, the strongest place is 1."""
    positive: NDArray[np.float32] = np.maximum(activation_map, np.float32(0))
    strongest = positive.max()
    return np.asarray(positive / strongest, np.float32) if strongest > 0 else positive


def heat_layer(strength: NDArray[np.float32], size: tuple[int, int]) -> Image.Image:
    """`strength` [h, w] in 0..1 as a transparent RGBA layer of `size` (width, height), to be laid over a photo."""
    small = Image.fromarray(np.rint(strength * 255).astype(np.uint8))
    values = np.asarray(small.resize(size, Image.Resampling.BICUBIC))
    layer = Image.fromarray(_COLOURS[values])
    layer.putalpha(Image.fromarray((values * STRONGEST).astype(np.uint8)))
    return layer


def over(photo: Image.Image, strength: NDArray[np.float32]) -> Image.Image:
    """The photo (RGB) under its heat, at most LONGEST_SIDE px a side."""
    photo = photo.copy()
    photo.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return Image.alpha_composite(photo.convert("RGBA"), heat_layer(strength, photo.size)).convert("RGB")


def png(image: Image.Image) -> bytes:
    """The encoded picture."""
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def _gradient() -> NDArray[np.uint8]:
    places = np.linspace(0, len(_ANCHORS) - 1, 256)
    channels = [np.interp(places, np.arange(len(_ANCHORS)), _ANCHORS[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=1)).astype(np.uint8)


_COLOURS = _gradient()
