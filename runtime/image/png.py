"""PNG chunks, listed without decoding, and the colour that `cICP` tells."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from runtime.image.colour.cicp import Cicp

SIGNATURE = b"\x89PNG\r\n\x1a\n"
DATA_CHUNKS = frozenset({b"IDAT", b"fdAT", b"fcTL"})  # the picture itself, or a frame of an animation
_ANCILLARY = 0x20  # a bit of the first letter of a type


def chunk_types(data: bytes) -> Iterator[bytes]:
    """The type of each chunk (4 bytes)."""
    return (kind for kind, _ in _chunks(data))


def metadata_bytes(data: bytes) -> int:
    """The size of all chunks that are not the picture."""
    return min(len(data), sum(size for kind, size in _chunks(data) if kind not in DATA_CHUNKS))


def without_broken_extras(data: bytes) -> bytes:
    """`data` without the chunks before the picture that it can be shown without and whose checksum is wrong.

    A decoder shall go on without them (PNG specification, third edition, 13.2).
    """
    kept, position = [data[: len(SIGNATURE)]], len(SIGNATURE)
    for kind, size in _chunks(data):
        if kind in DATA_CHUNKS:
            break
        chunk = data[position : position + 12 + size]
        if kind[0] & _ANCILLARY == 0 or zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big"):
            kept.append(chunk)
        position += len(chunk)
    return b"".join((*kept, data[position:]))


def cicp_of(data: bytes) -> Cicp | None:
    """The code points of the `cICP` chunk (PNG, third edition, 11.3.2.6); None without one before the picture."""
    position = len(SIGNATURE)
    for kind, size in _chunks(data):
        if kind == b"IDAT":
            return None
        body = data[position + 8 : position + 8 + size]
        if kind == b"cICP" and len(body) == 4 and body[2] == 0:  # a matrix other than that of RGB is not allowed
            return Cicp(body[0], body[1], narrow=body[3] == 0)
        position += 12 + size
    return None


def _chunks(data: bytes) -> Iterator[tuple[bytes, int]]:
    """The type and size of each chunk."""
    position = len(SIGNATURE)
    while position + 8 <= len(data):
        size = int.from_bytes(data[position : position + 4], "big")
        yield data[position + 4 : position + 8], size
        position += 12 + size
