"""Small plain JPEGs, decoded straight into memory that the resize reads: half the Python of the usual way.

They are what programs write by themselves: eight bits, three colours, one scan, no profile, no EXIF. Whatever is less
plain, large, or not whole is left to the usual way (`runtime/image/decode.py`), which also says what
is wrong with it. Pixels are the same, bit for bit.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import _imaging as core

from runtime.bundle.input import ImageSpec
from runtime.host.photo_limits import PhotoLimits
from runtime.image.decoding_cost import METADATA_COPIES, ROW_BYTES, resizing_bytes
from runtime.image.flatten import native_resize, shrink_pixels
from runtime.image.jpeg.decoding import Decoder, decode_whole
from runtime.image.jpeg.markers import SIGNATURE, draft_scale

# About 3 ms on one core, which are lost if it turns out not to be whole.
MAX_BYTES, MAX_PIXELS = 1 << 16, 1 << 18
_MAX_HEADER_BYTES, _MAX_SEGMENTS = 8192, 32
_SEGMENT, _FRAME = struct.Struct(">HH"), struct.Struct(">BHHB")
_TABLES, _BASELINE, _FIRST_SCAN = 0xFFDB, 0xFFC0, 0xFFDA
_TABLE_BYTES, _FRAME_BYTES, _SCAN_BYTES = 65, 17, 12
# JFIF's header, Huffman's codes, a comment: from this length on the usual way refuses none, and looks at none.
_MUTE, _NEVER = {0xFFE0: 16, 0xFFC4: 2, 0xFFFE: 2}, 1 << 16
_MAX_TABLE = 15
_BITS, _COLOURS = 8, 3
_PIXEL_BYTES = 4


class _Plain(NamedTuple):
    """Width and height of a plain JPEG in px, and where the data of its scan begin."""

    width: int
    height: int
    begin: int


def decode_plain(data: bytes, spec: ImageSpec, limits: PhotoLimits) -> NDArray[np.uint8] | None:
    """The pixels (height, width, 3) of a small plain JPEG that is whole; None for any other photo."""
    if len(data) > MAX_BYTES or not data.startswith(SIGNATURE):
        return None
    try:
        plain = _plain(data)
    except (struct.error, IndexError):  # the header ends too early
        return None
    if plain is None or not _is_within(plain, spec, limits):
        return None
    scale = draft_scale(plain.width, plain.height, max(spec.width, spec.height))
    size, filled = (spec.width, spec.height), (plain.width / scale, plain.height / scale)
    native = native_resize(size, filled)
    if native is None:
        return None
    sides = (-(-plain.width // scale), -(-plain.height // scale))
    pixels = np.empty((sides[1], sides[0], _PIXEL_BYTES), np.uint8)
    target = core.map_buffer(pixels, sides, "raw", 0, ("RGBX", 0, 1))
    decoder = Decoder(core.jpeg_decoder("RGB", "RGB", "", scale, 0), target, (0, 0, *sides))
    if not decode_whole(decoder, data, plain.begin):
        return None
    shrunk = shrink_pixels(pixels, size, native, filled)
    return np.frombuffer(shrunk, np.uint8).reshape(spec.height, spec.width, 3)


def _plain(data: bytes) -> _Plain | None:
    """What the header of a JPEG says, if it is plain; raises struct.error or IndexError if it ends too early."""
    at, width, height = 2, 0, 0
    for _ in range(_MAX_SEGMENTS):
        marker, length = _SEGMENT.unpack_from(data, at)
        body = at + 4
        at += 2 + length
        if marker == _TABLES:
            # Each behind a byte that is larger for one of 16 bits; most encoders write one a segment, some all of them.
            if (length - 2) % _TABLE_BYTES or max(data[body:at:_TABLE_BYTES], default=0) > _MAX_TABLE:
                return None
        elif marker == _BASELINE:
            bits, above, across, colours = _FRAME.unpack_from(data, body)
            if width or (length, bits, colours) != (_FRAME_BYTES, _BITS, _COLOURS):
                return None
            width, height = across, above
        elif marker == _FIRST_SCAN:
            is_whole = length == _SCAN_BYTES and data[body] == _COLOURS and at <= _MAX_HEADER_BYTES
            return _Plain(width, height, at) if is_whole and width and height else None
        elif length < _MUTE.get(marker, _NEVER):
            return None
    return None


def _is_within(plain: _Plain, spec: ImageSpec, limits: PhotoLimits) -> bool:
    """Whether it is small, and surely needs no turn to be decoded."""
    pixels = plain.width * plain.height
    if pixels > min(MAX_PIXELS, limits.max_scaled_pixels):
        return False
    decoded = _PIXEL_BYTES * pixels
    memory = decoded + resizing_bytes(decoded, spec) + METADATA_COPIES * plain.begin + ROW_BYTES * plain.height
    return memory <= min(limits.small_bytes, limits.decoding_bytes)
