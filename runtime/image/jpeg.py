"""JPEG marker segments and scans, counted without decoding."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple, cast

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

SIGNATURE = b"\xff\xd8\xff"
SHORT_HEADER_SEGMENTS, SHORT_HEADER_BYTES = 32, 8192  # cameras' take more, for a small copy of the photo
SEARCHED_SEGMENTS = 1000  # in which scans are looked for

_SCAN, _END = 0xDA, 0xD9
_WITHOUT_LENGTH = frozenset({0x01, 0xD8, _END})
# In the data of a scan FF is always followed by 00, by a restart marker or by more FF; anything else is a marker.
_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")


class Segment(NamedTuple):
    """The marker code of a segment, and the position after it."""

    marker: int
    end: int


def header_segments(data: bytes) -> Iterator[Segment]:
    """The segments up to the first scan, that scan's header included."""
    for segment in _segments(data, 0):
        yield segment
        if segment.marker == _SCAN:
            return


def has_short_header(data: bytes) -> bool:
    """Whether `data` is a JPEG whose header is parsed at once: no thousand segments, no large EXIF block."""
    if not data.startswith(SIGNATURE):
        return False
    header = list(islice(header_segments(data), SHORT_HEADER_SEGMENTS))
    return bool(header) and header[-1].marker == _SCAN and header[-1].end <= SHORT_HEADER_BYTES


def count_scans(image: JpegImageFile, data: bytes, most: int) -> int:
    """An upper bound of the scans of an opened JPEG that is not decoded yet; more than 1 + `most` only if it has more.

    It is 1 only if all components are coded sequentially in the first scan: the decoder reads no other then.
    """
    if _is_single_scan(image, data):
        return 1
    header = list(header_segments(data))
    position = header[-1].end if header else 0
    # Two bytes that begin each scan, and stand elsewhere only by accident: counting them is ten times quicker.
    count = data.count(bytes([0xFF, _SCAN]), position)
    if count >= most:
        photo = islice(_segments(data, position), SEARCHED_SEGMENTS)
        count = len(list(islice((segment for segment in photo if segment.marker == _SCAN), most + 1)))
    return max(2, 1 + count)


def draft_scale(width: int, height: int, longest: int) -> int:
    """By how much Pillow's `draft` lets the decoder scale a photo down that is wanted with sides of `longest` px."""
    least = min(width, height) // longest
    return next((scale for scale in (8, 4, 2) if least >= scale), 1)


def scale_while_decoding(image: Image.Image, longest: int) -> tuple[float, float] | None:
    """Let the decoder leave out detail that a resize to `longest` px a side would average away, before it decodes.

    Returns the width and height in px that the photo will fill, of an image whose sides are rounded up.
    """
    scaled = image.draft("RGB", (longest, longest))
    return (scaled[1][2], scaled[1][3]) if scaled else None


def coefficients(image: Image.Image, width: int, height: int) -> int:
    """The coefficients of a photo: what the decoder keeps if it is not coded in one scan.

    Each component is padded to whole blocks of 8 x 8 in whole units of the largest sampling factors.
    """
    layers = [(max(1, across), max(1, down)) for _, across, down, _ in cast("JpegImageFile", image).layer]
    most_across, most_down = max(across for across, _ in layers), max(down for _, down in layers)
    units = -(-width // (8 * most_across)) * -(-height // (8 * most_down))
    return 64 * units * sum(across * down for across, down in layers)


def _is_single_scan(image: JpegImageFile, data: bytes) -> bool:
    if "progressive" in image.info or image.fp is None:
        return False
    length, end = 6 + 2 * image.layers, image.fp.tell()
    return data[end - length : end - length + 3] == bytes([0, length, image.layers])


def _segments(data: bytes, position: int) -> Iterator[Segment]:
    """The segments from a position on, up to the end of the picture; junk in between is skipped, as decoders do."""
    while found := _MARKER.search(data, position):
        marker, position = found[0][-1], found.end()
        if marker == _END:
            return
        if marker not in _WITHOUT_LENGTH:
            position += max(2, int.from_bytes(data[position : position + 2], "big"))
        yield Segment(marker, position)
