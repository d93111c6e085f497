"""JPEG marker segments, scans and kinds (ITU-T T.81, annex B), told without decoding."""

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

SCAN, BEGIN, END = 0xDA, 0xD8, 0xD9
RESTART_INTERVAL = 0xDD
_WITHOUT_LENGTH = frozenset({0x01, BEGIN, END})
# In the data of a scan FF is always followed by 00, by a restart marker or by more FF; anything else is a marker.
MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # beginning with a literal byte, it is searched for with memchr


# Frame headers: T.81, table B.1. Those of hierarchical photos, and of lossless ones coded arithmetically, libjpeg knows
# by name alone.
BASELINE, LOSSLESS, ARITHMETIC, ARITHMETIC_PROGRESSIVE = 0xC0, 0xC3, 0xC9, 0xCA
_NOT_DECODED = {
    **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "hierarchical"),
    0xCB: "lossless and arithmetic coding",
}
RARE_FRAMES = frozenset({LOSSLESS, ARITHMETIC, ARITHMETIC_PROGRESSIVE})
FRAMES = frozenset({0xC0, 0xC1, 0xC2, *RARE_FRAMES})
_RARE_FRAME = re.compile(b"\xff[" + bytes(RARE_FRAMES) + b"]")


class Segment(NamedTuple):
    """The marker code of a segment, the position after the marker, and that after the segment."""

    marker: int
    begin: int
    end: int


def header_segments(data: bytes) -> Iterator[Segment]:
    """The segments up to the first scan, that scan's header included."""
    for segment in segments(data, 0):
        yield segment
        if segment.marker == SCAN:
            return


def has_short_header(data: bytes) -> bool:
    """Whether `data` is a JPEG whose header is parsed at once: no thousand segments, no large EXIF block."""
    if not data.startswith(SIGNATURE):
        return False
    header = list(islice(header_segments(data), SHORT_HEADER_SEGMENTS))
    return bool(header) and header[-1].marker == SCAN and header[-1].end <= SHORT_HEADER_BYTES


def first_scan(image: JpegImageFile, data: bytes) -> int:
    """Where the data of the first scan begin, in an opened JPEG that is not decoded yet."""
    begin = image.fp.tell() if image.fp else 0
    # Of a file of several pictures (MPO) Pillow goes back to the beginning.
    return begin or max((segment.end for segment in header_segments(data)), default=0)


def count_scans(image: JpegImageFile, data: bytes, begin: int, most: int) -> int:
    """An upper bound of the scans of an opened JPEG that is not decoded yet; more than 1 + `most` only if it has more.

    The data of the first begin at `begin`. It is 1 only if all components are coded sequentially in the first scan:
    the decoder reads no other then.
    """
    if _is_single_scan(image, data, begin):
        return 1
    # Two bytes that begin each scan, and stand elsewhere only by accident: counting them is ten times quicker.
    count = data.count(bytes([0xFF, SCAN]), begin)
    if count >= most:
        photo = islice(segments(data, begin), SEARCHED_SEGMENTS)
        count = len(list(islice((segment for segment in photo if segment.marker == SCAN), most + 1)))
    return max(2, 1 + count)


def draft_scale(width: int, height: int, longest: int) -> int:
    """By how much Pillow's `draft` lets the decoder scale a photo down that is wanted with sides of `longest` px."""
    least = min(width, height) // longest
    return 8 if least >= 8 else 4 if least >= 4 else 2 if least >= 2 else 1


def frame_type(data: bytes, end: int) -> int:
    """The marker code of the frame header (SOF), which says how the photo is coded; its first scan begins at `end`.

    BASELINE also stands for progressive and other photos that are coded by Huffman's codes of a cosine transform.
    """
    # A thumbnail or a text may hold the same bytes, and a header is gone through in Python.
    if not _RARE_FRAME.search(data, 0, end):
        return BASELINE
    return next((each.marker for each in header_segments(data) if each.marker in RARE_FRAMES), BASELINE)


def unsupported_kind(data: bytes) -> str | None:
    """What kind of JPEG it is that the decoder has no code for, by its frame header; None for any other."""
    for segment in islice(header_segments(data), SEARCHED_SEGMENTS):
        if segment.marker in _NOT_DECODED:
            return _NOT_DECODED[segment.marker]
        if segment.marker in FRAMES:
            bits, components = data[segment.begin + 2 : segment.begin + 3], data[segment.begin + 7 : segment.begin + 8]
            if bits and bits != b"\x08":
                return f"{bits[0]} bits a sample"
            return f"{components[0]} components" if components and components[0] not in {1, 3, 4} else None
    return None


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


def _is_single_scan(image: JpegImageFile, data: bytes, begin: int) -> bool:
    if "progressive" in image.info:
        return False
    length = 6 + 2 * image.layers
    return data[begin - length : begin - length + 3] == bytes([0, length, image.layers])


def segments(data: bytes, position: int) -> Iterator[Segment]:
    """The segments from a position on, up to the end of the picture; junk in between is skipped, as decoders do."""
    while found := MARKER.search(data, position):
        marker, position = found[0][-1], found.end()
        if marker == END:
            return
        begin = position
        if marker not in _WITHOUT_LENGTH:
            position += max(2, int.from_bytes(data[position : position + 2], "big"))
        yield Segment(marker, begin, position)
