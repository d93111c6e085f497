"""Giant photos: of each kind the largest that an appliance accepts, found by asking it."""

from __future__ import annotations

import io
import re
import struct
import time
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus

from PIL import Image

from benchmarks.contenders.photos import THUMBNAIL, draw_jpeg
from benchmarks.load_generator.raw_requests import post
from benchmarks.measurements.robustness.exchange import HONEST, Answer, exchange
from runtime.image import FORMATS

MEGA = 1_000_000
NEARLY, SMALLER, LARGER = 0.995, 0.9, 2.0
MOST_MEGAPIXELS = 300.0  # beyond it no larger one is tried
LEAST_MEGAPIXELS = 0.1
PROBE_PX = 30_000  # a side of the photo that is all header
TEXT_BYTES = 1_000_000  # of each text in a PNG, unpacked: the most that Pillow takes
PATIENCE_S = 300.0
_SAID = re.compile(rb"more than the (\d+(?:\.\d+)?) megapixels")

Draw = Callable[[float], bytes]


def giant_request(photo: bytes) -> bytes:
    """A request for it that closes its connection."""
    return post("/predict", "application/octet-stream", photo, "Connection: close")


def largest_photo(port: int, kind: str) -> bytes:
    """The largest photo of `kind` that the appliance at `port` does not answer with 413.

    Where it answers nothing any more, the photo that it was last asked about.
    """
    return _largest(GIANTS[kind], _overall_limit(port), partial(_ask, port))


def _overall_limit(port: int) -> float:
    """Megapixels that no photo may exceed, as the refusal of a photo that is all header has it."""
    header = b"\xff\xd8\xff\xc0" + struct.pack(">HBHHB", 17, 8, PROBE_PX, PROBE_PX, 3) + b"\1\x11\0\2\x11\0\3\x11\0"
    said = _SAID.search(_ask(port, header + b"\xff\xda\0\x0c\3\1\0\2\0\3\0\0\x3f\0" + bytes(64) + b"\xff\xd9").body)
    return float(said[1]) if said else 64.0


def _ask(port: int, photo: bytes) -> Answer:
    """The answer, once there is time for one."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        answer = exchange(port, giant_request(photo), source=HONEST, timeout_s=PATIENCE_S)
        if answer.status != HTTPStatus.SERVICE_UNAVAILABLE or time.monotonic() > deadline:
            return answer
        time.sleep(answer.retry_after_s or 1)


def _largest(draw: Draw, megapixels: float, ask: Callable[[bytes], Answer]) -> bytes:
    """Down from the first that is refused; up first, where none is."""
    photo, megapixels = _drawable(draw, megapixels)
    answer = ask(photo)
    while answer.status == HTTPStatus.OK and megapixels * LARGER <= MOST_MEGAPIXELS and draw is not _texts:
        larger, reached = _drawable(draw, megapixels * LARGER)
        if reached <= megapixels:
            break
        photo, megapixels = larger, reached
        answer = ask(photo)
    while answer.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and megapixels > LEAST_MEGAPIXELS:
        said = _SAID.search(answer.body)
        megapixels = min(megapixels * SMALLER if said is None else float(said[1]), megapixels) * NEARLY
        photo = draw(megapixels)
        answer = ask(photo)
    return photo


def _drawable(draw: Draw, megapixels: float) -> tuple[bytes, float]:
    """A photo of that size, halved until its encoder can write it: those of WebP and HEIC have limits of their own."""
    while True:
        try:
            return draw(megapixels), megapixels
        except (ValueError, RuntimeError, OSError):
            if megapixels <= LEAST_MEGAPIXELS:
                raise
            megapixels /= 2


def _picture(megapixels: float, mode: str = "RGB") -> Image.Image:
    side = max(1, int((megapixels * MEGA) ** 0.5))
    photo = Image.open(io.BytesIO(draw_jpeg(THUMBNAIL, 0))).convert(mode)
    return photo.resize((side, side), Image.Resampling.NEAREST)  # compresses well: what counts is what it unpacks to


def _encoded(megapixels: float, format_: str, mode: str = "RGB", **options: object) -> bytes:
    stream = io.BytesIO()
    _picture(megapixels, mode).save(stream, format_, **options)
    return stream.getvalue()


def _three_scans(megapixels: float) -> bytes:
    """A sequential JPEG with a scan for each component: three grey ones, under one frame."""
    greys = []
    for band in _picture(megapixels, "YCbCr").split():
        stream = io.BytesIO()
        band.save(stream, "JPEG", quality=85)
        greys.append(stream.getvalue())
    grey = greys[0]
    frame, scan = grey.index(b"\xff\xc0"), grey.index(b"\xff\xda")
    size = grey[frame + 5 : frame + 9]
    components = b"".join(bytes((number, 0x11, 0)) for number in (1, 2, 3))
    head = grey[:frame] + b"\xff\xc0\0\x11\x08" + size + b"\x03" + components + grey[frame + 13 : scan]
    scans = b"".join(
        b"\xff\xda\0\x08\x01" + bytes((number, 0)) + b"\0\x3f\0" + each[each.index(b"\xff\xda") + 10 : -2]
        for number, each in enumerate(greys, 1)
    )
    return head + scans + b"\xff\xd9"


def _texts(megapixels: float) -> bytes:
    """A small PNG with texts of as many megabytes, unpacked."""
    whole = _encoded(64 / MEGA, "PNG")
    end = whole.index(b"IDAT") - 4
    body = b"zTXtname\0\0" + zlib.compress(bytes(TEXT_BYTES), 9)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return whole[:end] + chunk * max(1, min(60, int(megapixels))) + whole[end:]


_OF_FORMAT: Mapping[str, Mapping[str, Draw]] = {
    "JPEG": {
        "JPEG": partial(_encoded, format_="JPEG", quality=85),
        "progressive JPEG": partial(_encoded, format_="JPEG", quality=85, progressive=True),
        "JPEG in three scans": _three_scans,
    },
    "PNG": {
        "PNG": partial(_encoded, format_="PNG", compress_level=1),
        "PNG with alpha": partial(_encoded, format_="PNG", mode="RGBA", compress_level=1),
        "PNG with texts": _texts,
    },
    "WEBP": {
        "WebP": partial(_encoded, format_="WEBP", method=0),
        "lossless WebP": partial(_encoded, format_="WEBP", method=0, lossless=True, quality=0),
    },
    "AVIF": {"AVIF": partial(_encoded, format_="AVIF", speed=10)},
    "HEIF": {"HEIC": partial(_encoded, format_="HEIF")},
}
GIANTS: Mapping[str, Draw] = {
    kind: draw for format_, kinds in _OF_FORMAT.items() if format_ in FORMATS for kind, draw in kinds.items()
}
