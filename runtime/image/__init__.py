"""Image decoding and preprocessing: encoded photo to model input, in three steps: inspect, check limits, decode.

Training, calibration, serving and benchmarks all decode here, so they agree.
"""

from __future__ import annotations

from runtime.bundle.input import ImageSpec
from runtime.host.photo_limits import PhotoLimits
from runtime.image.decode import DecodedPhoto, decode, decode_brief, decode_photo, warm_up
from runtime.image.decoding_cost import accepted_megapixels, decoding_cost
from runtime.image.decoding_memory import decoding_memory
from runtime.image.errors import CorruptImage, ImageError, ImageTooLarge, UnsupportedImage
from runtime.image.formats import ACCEPTED, FORMATS, MEDIA_TYPES
from runtime.image.header import PhotoHeader
from runtime.image.inspect import inspect
from runtime.image.limits import MAX_FRAMES, check_limits
from runtime.image.preview import preview

__all__ = [
    "ACCEPTED",
    "FORMATS",
    "MAX_FRAMES",
    "MEDIA_TYPES",
    "CorruptImage",
    "DecodedPhoto",
    "ImageError",
    "ImageSpec",
    "ImageTooLarge",
    "PhotoHeader",
    "PhotoLimits",
    "UnsupportedImage",
    "accepted_megapixels",
    "check_limits",
    "decode",
    "decode_brief",
    "decode_photo",
    "decoding_cost",
    "decoding_memory",
    "inspect",
    "preview",
    "warm_up",
]
