"""Views of a photo: as it is served, and changed as other photos of the same thing would be (data augmentation)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from runtime.host.photo_limits import PhotoLimits
from runtime.image import ImageSpec, decode

VIEWS = 2


def views_of(photo: bytes, spec: ImageSpec, limits: PhotoLimits) -> Iterator[NDArray[np.uint8]]:
    """VIEWS views [height, width, 3] of an encoded photo: as it is served, and its mirror image. Raises ImageError."""
    pixels = decode(photo, spec, limits=limits)
    yield pixels
    yield np.ascontiguousarray(pixels[:, ::-1])
