"""A photo to look at, rather than to classify."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime.image.decode import ImageSpec, decode
from runtime.image.header import DEFAULT_MAX_PIXELS, open_image
from runtime.image.orientation import SWAPS_SIDES, orientation_of


def preview(data: bytes, longest: int, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode a photo in its own proportions, at most `longest` px a side; returns and raises as `decode` does."""
    image = open_image(data, max_pixels=max_pixels)
    width, height = image.size
    if orientation_of(image) in SWAPS_SIDES:
        width, height = height, width
    scale = min(1.0, longest / max(width, height))
    spec = ImageSpec(height=max(1, round(height * scale)), width=max(1, round(width * scale)))
    return decode(data, spec, max_pixels=max_pixels)
