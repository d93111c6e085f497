"""Work estimate of decoding a photo, from its header alone: what is charged before any of it is done.

The unit is one pixel of a WebP, about 20 ns of a core. A baseline JPEG is decoded at the scale that is wanted, and
costs a twentieth of that for each pixel. The rates were measured with photos of 12 megapixels, plain and detailed, and
are right within a factor of two; `WaitEstimate` measures how long a unit takes on this host.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from runtime.host.photo_limits import SMALL_BYTES, PhotoLimits
from runtime.image import ImageError, ImageSpec, PhotoHeader, check_limits, inspect
from runtime.image.limits import check_cost

# More than this, about 0.12 s of a core, is heavy: it is decoded in a lane of its own. So is what may have to wait for
# its turn while another photo is decoded: it would keep a worker from small ones.
HEAVY_COST = 6_000_000.0


class _Rate(NamedTuple):
    """Cost of each pixel and of each encoded byte."""

    pixel: float
    byte: float


_WEBP, _LOSSLESS_WEBP = _Rate(1.0, 4.0), _Rate(1.0, 0.6)
_RATES: Mapping[str, _Rate] = {"WEBP": _WEBP, "AVIF": _Rate(0.9, 5.0), "HEIF": _Rate(1.5, 6.0)}
_PNG_PIXEL: Mapping[str, float] = {"L": 0.2, "P": 0.4, "RGB": 0.6}
_PNG_PIXEL_FLATTENED, _PNG_BYTE = 1.2, 0.8
_JPEG_BYTE, _JPEG_PIXEL, _JPEG_SCALED_PIXEL = 0.6, 0.04, 0.35
_SCANS_BYTE, _SCANS_PIXEL, _SCAN_PIXEL = 2.2, 0.15, 0.015

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_SEGMENT, _FRAME = struct.Struct(">HH"), struct.Struct(">HxxxHHB")  # marker, length; marker, height, width, components
_SEQUENTIAL, _PROGRESSIVE, _SCAN = frozenset({0xFFC0, 0xFFC1}), 0xFFC2, 0xFFDA
_SKIPPED = frozenset({*range(0xFFE0, 0xFFF0), 0xFFC4, 0xFFDB, 0xFFDD, 0xFFFE})  # they say nothing of the size
_MAX_SEGMENTS = 64
_SMALL_PIXELS = 1 << 22  # a sequential JPEG up to this size is light, however many scans it has
_LIGHT_BYTES = 1 << 20
_MOST_SCANS, _USUAL_SCANS = 51, 10
_SURE_PIXELS = SMALL_BYTES // 20  # a PNG or WebP up to this size never waits for memory
_PNG_MODES: Mapping[bytes, str] = {b"\x08\x00": "L", b"\x08\x02": "RGB", b"\x08\x03": "P"}  # depth, colour type


def is_light(photo: bytes, side: int) -> bool:
    """Whether an encoded photo is surely not heavy, in about a microsecond; False if in doubt."""
    if len(photo) <= _LIGHT_BYTES and photo.startswith(_JPEG):
        try:
            marker, height, width, _ = _FRAME.unpack_from(photo, _next(photo, 2))
        except struct.error:  # the header ends too early
            return False
        if marker in _SEQUENTIAL and height * width <= _SMALL_PIXELS:
            return True
    return light_cost(photo, side) is not None


def light_cost(photo: bytes, side: int) -> float | None:
    """The cost of an encoded photo that is surely not heavy, in a few microseconds; None for any other, or if in doubt.

    `side` is the longest side of the model's input, px. Only the usual layout of a header is understood.
    """
    try:
        cost = _peek(photo, side)
    except struct.error:
        return None
    return cost if cost is not None and cost <= HEAVY_COST else None


def decoding_work(photo: bytes, side: int, limits: PhotoLimits) -> float:
    """The cost of any encoded photo, in up to milliseconds; 0 for one that will be refused."""
    return work_of(photo, side, limits).cost


class Work(NamedTuple):
    """The cost of a photo, and whether its decoding may have to wait for memory; or why it will be refused."""

    cost: float
    may_wait: bool = False
    refusal: ImageError | None = None


def request_work(photos: Sequence[bytes], side: int, limits: PhotoLimits) -> list[Work]:
    """The work of the photos of one request; together heavy if one of them may have to wait for memory."""
    works = [work_of(photo, side, limits) for photo in photos]
    return together(works)


def together(works: Sequence[Work]) -> list[Work]:
    """The works of one request, whose first is charged what makes them heavy if one may have to wait for memory."""
    more = max(0.0, HEAVY_COST + 1 - sum(work.cost for work in works))
    if not any(work.may_wait for work in works):
        return list(works)
    return [works[0]._replace(cost=works[0].cost + more), *works[1:]]


def work_of(photo: bytes, side: int, limits: PhotoLimits) -> Work:
    """The work of any encoded photo, in up to milliseconds."""
    try:
        header = check_limits(inspect(photo), limits)
        memory_bytes = check_cost(header, ImageSpec(side, side), limits)
    except ImageError as error:
        return Work(0.0, refusal=type(error)(*error.args))  # without the frames that would keep the photo
    return Work(_cost(header, photo, side), memory_bytes > limits.small_bytes)


def _cost(header: PhotoHeader, photo: bytes, side: int) -> float:
    if header.format == "JPEG":
        one_scan = header.scans == 1 and not header.progressive
        scans = 1 if one_scan else max(2, header.scans)
        return _jpeg_cost(header.width, header.height, len(photo), side, scans)
    pixels = max(header.pixels, header.coded.pixels)
    if header.format == "PNG":
        return _png_cost(pixels, len(photo), _png_mode(header))
    rate = _LOSSLESS_WEBP if photo[12:16] == b"VP8L" else _RATES[header.format]
    return pixels * rate.pixel + len(photo) * rate.byte


def _png_mode(header: PhotoHeader) -> str:
    return "" if "transparency" in header.image.info else header.image.mode


def _png_cost(pixels: int, size_bytes: int, mode: str) -> float:
    return pixels * _PNG_PIXEL.get(mode, _PNG_PIXEL_FLATTENED) + size_bytes * _PNG_BYTE


def _jpeg_cost(width: int, height: int, size_bytes: int, side: int, scans: int) -> float:
    pixels = width * height
    if scans > 1:
        return pixels * (_SCANS_PIXEL + scans * _SCAN_PIXEL) + size_bytes * _SCANS_BYTE
    shrunk = min(width, height) // side
    scale = 8 if shrunk >= 8 else 4 if shrunk >= 4 else 2 if shrunk >= 2 else 1
    return pixels * (_JPEG_PIXEL + _JPEG_SCALED_PIXEL / (scale * scale)) + size_bytes * _JPEG_BYTE


def _peek(photo: bytes, side: int) -> float | None:
    if photo.startswith(_JPEG):
        return _peek_jpeg(photo, side)
    if photo.startswith(_PNG):
        width, height = int.from_bytes(photo[16:20], "big"), int.from_bytes(photo[20:24], "big")
        cost = _png_cost(width * height, len(photo), _PNG_MODES.get(photo[24:26], ""))
        return cost if width * height <= _SURE_PIXELS else None
    if photo[:4] == b"RIFF" and photo[8:12] == b"WEBP":
        return _peek_webp(photo)
    return None if photo[4:8] == b"ftyp" else 0.0  # AVIF or HEIC; or no photo, which is refused at once


def _next(photo: bytes, at: int) -> int:
    """The position of the first segment from `at` on that says what it is a JPEG of, or of what is no segment.

    Every decoder sees the same segments, since nothing stands between them. Raises struct.error at the end.
    """
    for _ in range(_MAX_SEGMENTS):
        marker, length = _SEGMENT.unpack_from(photo, at)
        if marker not in _SKIPPED:
            break
        at += 2 + length
    return at


def _peek_jpeg(photo: bytes, side: int) -> float | None:
    at = _next(photo, 2)
    marker, height, width, components = _FRAME.unpack_from(photo, at)
    if marker in _SEQUENTIAL:
        one_scan = width * height <= _SMALL_PIXELS or _is_one_scan(photo, at, components)
        return _jpeg_cost(width, height, len(photo), side, 1) if one_scan else None
    if marker != _PROGRESSIVE or _jpeg_cost(width, height, len(photo), side, _MOST_SCANS) > HEAVY_COST:
        return None
    return _jpeg_cost(width, height, len(photo), side, _USUAL_SCANS)


def _is_one_scan(photo: bytes, frame: int, components: int) -> bool:
    """Whether the first scan has all components of the frame: the decoder reads no other then."""
    _, length = _SEGMENT.unpack_from(photo, frame)
    at = _next(photo, frame + 2 + length)
    marker, _ = _SEGMENT.unpack_from(photo, at)
    return marker == _SCAN and photo[at + 4 : at + 5] == bytes([components])


def _peek_webp(photo: bytes) -> float | None:
    kind = photo[12:16]
    if kind == b"VP8 ":
        size = int.from_bytes(photo[26:30], "little")
        return _webp_cost(size & 0x3FFF, size >> 16 & 0x3FFF, len(photo), _WEBP)
    if kind == b"VP8L":
        size = int.from_bytes(photo[21:25], "little")
        return _webp_cost((size & 0x3FFF) + 1, (size >> 14 & 0x3FFF) + 1, len(photo), _LOSSLESS_WEBP)
    if kind == b"VP8X":
        width, height = int.from_bytes(photo[24:27], "little") + 1, int.from_bytes(photo[27:30], "little") + 1
        return _webp_cost(width, height, len(photo), _WEBP)
    return None


def _webp_cost(width: int, height: int, size_bytes: int, rate: _Rate) -> float | None:
    return None if width * height > _SURE_PIXELS else width * height * rate.pixel + size_bytes * rate.byte
