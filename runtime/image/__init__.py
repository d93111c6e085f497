"""From encoded photo to model input. Training, calibration, serving and benchmarks all decode here, so they agree."""

from __future__ import annotations

from runtime.image.decode import ImageSpec, decode, decode_brief, warm_up
from runtime.image.errors import CorruptImage, ImageError, ImageTooLarge, UnsupportedImage
from runtime.image.formats import ACCEPTED, FORMATS, MEDIA_TYPES
from runtime.image.header import DEFAULT_MAX_PIXELS, MAX_FRAMES, open_image
from runtime.image.preview import preview

__all__ = [
    "ACCEPTED",
    "DEFAULT_MAX_PIXELS",
    "FORMATS",
    "MAX_FRAMES",
    "MEDIA_TYPES",
    "CorruptImage",
    "ImageError",
    "ImageSpec",
    "ImageTooLarge",
    "UnsupportedImage",
    "decode",
    "decode_brief",
    "open_image",
    "preview",
    "warm_up",
]
