"""Preview: a photo decoded in its own aspect ratio, to be looked at."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from runtime.bundle.input import ImageSpec
from runtime.host.photo_limits import DEFAULT_LIMITS, PhotoLimits
from runtime.image.decode import decode, turn_of
from runtime.image.inspect import inspect
from runtime.image.limits import check_limits
from runtime.image.orientation import SWAPS_SIDES, orientation_of


def preview(data: bytes, longest: int, *, limits: PhotoLimits = DEFAULT_LIMITS) -> NDArray[np.uint8]:
    """Decode a photo in its own aspect ratio, at most `longest` px a side; returns and raises as `decode` does."""
    width, height = _upright_size(data, ImageSpec(height=longest, width=longest), limits)
    scale = min(1.0, longest / max(width, height))
    spec = ImageSpec(height=max(1, round(height * scale)), width=max(1, round(width * scale)))
    return decode(data, spec, limits=limits)


def _upright_size(data: bytes, most: ImageSpec, limits: PhotoLimits) -> tuple[int, int]:
    header = check_limits(inspect(data), limits)
    with turn_of(header, most, limits):
        if header.format == "PNG":  # which may tell its orientation behind the picture
            _load(header.image)
        swapped = orientation_of(header.image) in SWAPS_SIDES
    width, height = header.shown
    return (height, width) if swapped else (width, height)


def _load(image: Image.Image) -> None:
    with suppress(Exception):  # `decode` says what is wrong with it
        image.load()
