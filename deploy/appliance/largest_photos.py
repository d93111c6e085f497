"""Send an appliance the largest photos that it accepts of each kind, CLIENTS at once, and print as JSON what came back.

`GET /health` says how large. It runs beside the appliance, not in its memory: drawing takes more than decoding does.
Nothing but the standard library and Pillow is used.
"""

from __future__ import annotations

import http.client
import io
import json
import math
import os
import struct
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

PORT = int(os.environ.get("PORT", "8000"))
CLIENTS = int(os.environ.get("CLIENTS", "16"))
PATIENCE_S = 300
HEAVY_SIDE = 2500
DONE, OVERLOADED = 200, 503

# Standard Huffman codes of blocks that are grey all over: the difference to the block before is 0, and no more follows.
_BRIGHTNESS, _COLOUR = "001010", "0000"
_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # of a PNG's colour type
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))  # Adam7


def main() -> None:
    """Send and print."""
    limits = json.loads(ask("GET", "/health")[2])["limits"]
    last = send(heavy_png(HEAVY_SIDE), HEAVY_SIDE)
    seen = {"PNG of 19 MB": last}
    for name, kind, make in kinds():
        if kind in limits["megapixels"]:
            side = math.isqrt(int(limits["megapixels"][kind] * 1e6))
            photo = make(side, side)
            time.sleep(last["wait_s"])  # who comes earlier than told is refused unread
            seen[name] = last = send(photo, side)
    json.dump({"limits": limits, "photos": seen}, sys.stdout)


def kinds() -> Iterator[tuple[str, str, Callable[[int, int], bytes]]]:
    """The name of each photo, its kind in `GET /health`, and how to make it (width, height)."""
    yield "JPEG", "JPEG", flat_jpeg
    yield "progressive JPEG", "progressive JPEG", lambda *size: drawn(size, "JPEG", progressive=True, subsampling=0)
    yield "JPEG in three scans", "progressive JPEG", lambda *size: flat_jpeg(*size, scans=3)
    yield "PNG", "PNG", flat_png
    yield "PNG with alpha", "PNG", lambda *size: flat_png(*size, colour=6)
    yield "interlaced PNG of 16 bits", "PNG", lambda *size: flat_png(*size, bits=16, interlaced=True)
    yield "WebP", "WebP", lambda *size: drawn(size, "WEBP", method=0)
    yield "lossless WebP", "WebP", lambda *size: drawn(size, "WEBP", method=0, lossless=True)
    yield "AVIF", "AVIF", lambda *size: drawn(size, "AVIF", speed=10)
    try:
        from pillow_heif import register_heif_opener  # noqa: PLC0415 # the image has it only with the extra
    except ImportError:
        return
    register_heif_opener()
    yield "HEIC", "HEIC", lambda *size: drawn(size, "HEIF", enc_params={"preset": "ultrafast"})


def send(photo: bytes, side: int) -> dict[str, Any]:
    """What CLIENTS get who send a photo at once: how often each status, and how many 503 say when to try again."""
    with ThreadPoolExecutor(CLIENTS) as clients:
        answers = list(clients.map(lambda _: predict(photo), range(CLIENTS)))
    statuses = Counter(status for status, _, _ in answers)
    others = sorted({text.decode(errors="replace")[:200] for status, _, text in answers if status not in (200, 503)})
    return {
        "side": side,
        "bytes": len(photo),
        "statuses": dict(statuses),
        "retry_after": sum(bool(after) for status, after, _ in answers if status == OVERLOADED),
        "wait_s": max((int(after) for _, after, _ in answers if after), default=0),
        "others": others,
    }


def faults(found: dict[str, Any]) -> list[str]:
    """What is wrong with what `main` printed: each photo is answered, or refused for now with a time to try again."""
    wrong = []
    for name, photo in found["photos"].items():
        statuses = {int(status): count for status, count in photo["statuses"].items()}
        if set(statuses) - {DONE, OVERLOADED}:
            wrong.append(f"{name} of {photo['side']} px a side: {statuses} {photo['others']}")
        if statuses.get(OVERLOADED, 0) != photo["retry_after"]:
            wrong.append(f"{name}: a 503 without Retry-After")
        if not statuses.get(DONE):
            wrong.append(f"{name}: none of {CLIENTS} was answered")
    return wrong


def predict(photo: bytes) -> tuple[int, str, bytes]:
    """The status (0 without an answer), Retry-After, and body."""
    try:
        return ask("POST", "/predict", photo, {"Content-Type": "application/octet-stream"})
    except (OSError, http.client.HTTPException) as error:
        return 0, "", repr(error).encode()


def ask(
    method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, str, bytes]:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=PATIENCE_S)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.headers.get("Retry-After", ""), response.read()
    finally:
        connection.close()


def drawn(size: tuple[int, int], format_: str, mode: str = "RGB", **options: Any) -> bytes:
    """A photo of one colour, as Pillow writes it."""
    from PIL import Image  # noqa: PLC0415 # to read the limits takes no Pillow

    stream = io.BytesIO()
    Image.new(mode, size, (90, 140, 60, 99)[: len(mode)]).save(stream, format_, **options)
    return stream.getvalue()


def flat_jpeg(width: int, height: int, scans: int = 1) -> bytes:
    """A grey sequential JPEG in 4:2:0, in one scan or in 4:4:4 in three, as jpegtran writes it: Pillow cannot."""
    head = bytearray(drawn((16, 16), "JPEG", subsampling=2 if scans == 1 else 0).partition(b"\xff\xda")[0])
    at = head.index(b"\xff\xc0") + 5
    head[at : at + 4] = struct.pack(">HH", height, width)
    if scans == 1:
        units = -(-width // 16) * -(-height // 16)
        scan = b"\xff\xda" + struct.pack(">H", 12) + bytes([3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0])
        return bytes(head) + scan + _repeated(_BRIGHTNESS * 4 + _COLOUR * 2, units) + b"\xff\xd9"
    blocks = -(-width // 8) * -(-height // 8)
    for component, (tables, code) in enumerate(((0, _BRIGHTNESS), (0x11, _COLOUR), (0x11, _COLOUR)), 1):
        scan = b"\xff\xda" + struct.pack(">H", 8) + bytes([1, component, tables, 0, 63, 0])
        head += scan + _repeated(code, blocks)
    return bytes(head) + b"\xff\xd9"


def _repeated(code: str, count: int) -> bytes:
    """A code of at most 32 bits so many times, filled up with ones."""
    period = math.lcm(len(code), 8) // len(code)
    whole = int(code * period, 2).to_bytes(len(code) * period // 8, "big")
    rest = code * (count % period)
    rest += "1" * (-len(rest) % 8)
    return whole * (count // period) + (int(rest, 2).to_bytes(len(rest) // 8, "big") if rest else b"")


def flat_png(width: int, height: int, bits: int = 8, colour: int = 2, *, interlaced: bool = False) -> bytes:
    """A PNG of one colour in any colour type and depth, interlaced or not: Pillow writes but a few of them."""
    packer = zlib.compressobj(1)
    passes = _PASSES if interlaced else ((0, 0, 1, 1),)
    data = []
    for left, top, across, down in passes:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        row = b"\0" + b"\x4d" * -(-columns * _CHANNELS[colour] * bits // 8)
        data += [packer.compress(row) for _ in range(rows if columns > 0 else 0)]
    data.append(packer.flush())
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, int(interlaced))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", b"".join(data)) + _chunk(b"IEND", b"")


def heavy_png(side: int) -> bytes:
    """A PNG that is as large as its pixels: nothing in it is compressed."""
    rows = b"".join(b"\0" + os.urandom(3 * side) for _ in range(side))
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows, 0)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


if __name__ == "__main__":
    main()
