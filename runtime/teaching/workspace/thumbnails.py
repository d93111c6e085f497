"""Thumbnails: to make one is to decode the photo, which proves that it is sound."""

from __future__ import annotations

import io

from PIL import Image

from runtime.host.photo_limits import PhotoLimits
from runtime.image import preview
from runtime.teaching.workspace.photos import NewPhoto

SIDE = 240  # px, at most
QUALITY = 80


def with_thumbnail(name: str, photo: bytes, limits: PhotoLimits) -> NewPhoto:
    """A photo with its thumbnail; raises ImageError if it cannot be decoded."""
    stream = io.BytesIO()
    Image.fromarray(preview(photo, SIDE, limits=limits)).save(stream, "JPEG", quality=QUALITY)
    return NewPhoto(name, photo, stream.getvalue())
