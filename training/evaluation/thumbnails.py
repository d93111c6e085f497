"""Thumbnails as data URIs, for pages that stand alone."""

from __future__ import annotations

import base64
import io

from PIL import Image

from runtime.image import ImageError, preview

SIDE = 320


def thumbnail(data: bytes) -> str | None:
    """The encoded photo as a small JPEG, at most SIDE px wide and high, in a data URI; None if it cannot be shown."""
    try:
        image = Image.fromarray(preview(data, SIDE))
    except ImageError:
        return None
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
