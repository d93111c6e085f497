"""Protocol Buffers wire format (protobuf.dev/programming-guides/encoding): reads and writes fields of a message."""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

Value = int | memoryview


def fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """The fields of a message in their order: number, and an integer or bytes. Raises ValueError, IndexError."""
    at = 0
    while at < len(message):
        key, at = read_varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, at = read_varint(message, at)
            yield number, value
            continue
        if wire == BYTES:
            size, at = read_varint(message, at)
        elif wire in {FIXED32, FIXED64}:
            size = 4 if wire == FIXED32 else 8
        else:
            raise ValueError(f"wire type {wire}")
        if at + size > len(message):
            raise ValueError("it ends too early")
        yield number, message[at : at + size]
        at += size


def read_varint(message: memoryview, at: int) -> tuple[int, int]:
    """The integer at a position, and where the next thing begins. Raises ValueError, IndexError."""
    value = shift = 0
    while shift < 64:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("a number is too long")


def varint(value: int) -> bytes:
    """A whole number from 0 on."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def field(number: int, value: int | bytes | memoryview) -> bytes:
    """One field: an integer as a varint, anything else with its length before it."""
    if isinstance(value, int):
        return varint(number << 3 | VARINT) + varint(value)
    return b"".join((varint(number << 3 | BYTES), varint(len(value)), value))
