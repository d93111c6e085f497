"""Photos of thousands of parts: small to send, and minutes or gigabytes to decode. None has a reason to exist.

Pillow keeps every segment of a JPEG header and every unknown chunk of a PNG as an object of its own (12 MB of empty
ones make 400 MB), and libjpeg goes over the whole photo for each scan, of which 1 MB holds a hundred thousand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

MAX_PARTS = 1000  # a panorama with a depth map, extended XMP and a large colour profile has about 150
SHORT_HEADER_PARTS, SHORT_HEADER_BYTES = 32, 8192  # of a JPEG; cameras' take more, for a small copy of the photo
MAX_SCANS = 50  # of one JPEG; encoders write about 10, and each costs a pass over the whole photo

# So small a photo cannot hold enough segments or chunks to hurt.
SMALL_BYTES = 100_000

_SCAN, _END = 0xDA, 0xD9
_WITHOUT_LENGTH = frozenset({0x01, 0xD8, _END})
# In the data of a scan FF is always followed by 00, by a restart marker or by more FF; anything else is a marker.
_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
_PNG_DATA = frozenset({b"IDAT", b"fdAT", b"fcTL"})


class _Segment(NamedTuple):
    marker: int
    end: int


def excess_parts(data: bytes, format_: str) -> str | None:
    """What an encoded photo has too many of, before it is opened; None for any that an encoder would write."""
    if len(data) <= SMALL_BYTES:
        return None
    if format_ == "JPEG" and _nth(_jpeg_header(data), MAX_PARTS):
        return f"more than {MAX_PARTS} segments before the picture"
    if format_ == "PNG" and _nth((kind for kind in _png_chunks(data) if kind not in _PNG_DATA), MAX_PARTS):
        return f"more than {MAX_PARTS} chunks"
    return None


def excess_scans(image: Image.Image, data: bytes) -> str | None:
    """The same of the scans of a JPEG that has been opened, and not been decoded."""
    if not isinstance(image, JpegImageFile) or is_one_scan(image, data):
        return None
    header = list(_jpeg_header(data))
    position = header[-1].end if header else 0
    # Two bytes that begin each scan, and stand elsewhere only by accident: counting them is ten times quicker.
    if data.count(bytes([0xFF, _SCAN]), position) < MAX_SCANS:
        return None
    photo = islice(_jpeg_segments(data, position), MAX_PARTS)
    scans = (segment for segment in photo if segment.marker == _SCAN)
    return f"more than {MAX_SCANS} scans" if _nth(scans, MAX_SCANS) else None


def is_one_scan(image: Image.Image, data: bytes) -> bool:
    """Whether all components of a JPEG are in its first scan, coded in sequence: the decoder looks at no other then."""
    if not isinstance(image, JpegImageFile) or "progressive" in image.info or image.fp is None:
        return False
    length, end = 6 + 2 * image.layers, image.fp.tell()
    return data[end - length : end - length + 3] == bytes([0, length, image.layers])


def is_short_header(data: bytes) -> bool:
    """Whether the header of a JPEG can be read at once: no thousand segments, no great EXIF block."""
    header = list(islice(_jpeg_header(data), SHORT_HEADER_PARTS))
    return bool(header) and header[-1].marker == _SCAN and header[-1].end <= SHORT_HEADER_BYTES


def _jpeg_header(data: bytes) -> Iterator[_Segment]:
    """The segments up to the first scan."""
    for segment in _jpeg_segments(data, 0):
        yield segment
        if segment.marker == _SCAN:
            return


def _jpeg_segments(data: bytes, position: int) -> Iterator[_Segment]:
    """The segments from a position on, up to the end of the picture; decoders skip junk in between, and so do we."""
    while found := _MARKER.search(data, position):
        marker, position = found[0][-1], found.end()
        if marker == _END:
            return
        if marker not in _WITHOUT_LENGTH:
            position += max(2, int.from_bytes(data[position : position + 2], "big"))
        yield _Segment(marker, position)


def _png_chunks(data: bytes) -> Iterator[bytes]:
    position = 8
    while position + 8 <= len(data):
        yield data[position + 4 : position + 8]
        position += 12 + int.from_bytes(data[position : position + 4], "big")


def _nth(parts: Iterator[object], count: int) -> bool:
    """Whether there are more than `count`; looks no further."""
    return next(islice(parts, count, None), None) is not None
