"""Bit reader: big-endian fields of any width, one after the other."""

from __future__ import annotations

from collections.abc import Callable

Bytes = bytes | memoryview


class BitReader:
    """Reads unsigned fields from the start of `data`; raises IndexError beyond its end."""

    def __init__(self, data: Bytes, count: Callable[[], None]) -> None:
        """`count` is called before each field is read, and may raise to end it."""
        self._data = data
        self._count = count
        self._at = 0  # bits

    def number(self, size: int) -> int:
        """The next `size` bytes."""
        return self.bits(8 * size)

    def bits(self, width: int) -> int:
        """The next `width` bits."""
        self._count()
        start, end = self._at, self._at + width
        if end > 8 * len(self._data):
            raise IndexError("it ends too soon")
        self._at = end
        last = -(-end // 8)
        return int.from_bytes(self._data[start // 8 : last], "big") >> 8 * last - end & (1 << width) - 1
