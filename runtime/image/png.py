"""PNG chunks, listed without decoding."""

from __future__ import annotations

from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
DATA_CHUNKS = frozenset({b"IDAT", b"fdAT", b"fcTL"})  # the picture itself, or a frame of an animation


def chunk_types(data: bytes) -> Iterator[bytes]:
    """The type of each chunk (4 bytes)."""
    return (kind for kind, _ in _chunks(data))


def metadata_bytes(data: bytes) -> int:
    """The size of all chunks that are not the picture."""
    return min(len(data), sum(size for kind, size in _chunks(data) if kind not in DATA_CHUNKS))


def _chunks(data: bytes) -> Iterator[tuple[bytes, int]]:
    """The type and size of each chunk."""
    position = len(SIGNATURE)
    while position + 8 <= len(data):
        size = int.from_bytes(data[position : position + 4], "big")
        yield data[position + 4 : position + 8], size
        position += 12 + size
