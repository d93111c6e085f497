"""Boxes of an ISO base media file (ISO/IEC 14496-12), read in a bounded number of steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from runtime.image.avif.bit_reader import BitReader, Bytes

MAX_READS = 100_000  # fields, boxes and OBUs read in one file; a photo takes hundreds

_TABLES = frozenset({b"iinf", b"iloc", b"idat", b"stsd", b"stsz", b"stco", b"co64"})


class Box(NamedTuple):
    """The kind of a box, and where its content begins and ends."""

    kind: bytes
    start: int
    end: int


class Boxes:
    """The boxes of a file. Reads are counted, because a hostile file could have millions of parts."""

    def __init__(self, data: bytes) -> None:
        """`data` is the whole file."""
        self.data = memoryview(data)
        self._left = MAX_READS

    def count(self) -> None:
        """Count one read; raises ValueError beyond MAX_READS."""
        self._left -= 1
        if self._left < 0:
            raise ValueError("it has too many parts")

    def fields(self, data: Bytes) -> BitReader:
        """A reader of these bytes."""
        return BitReader(data, self.count)

    def inside(self, box: Box) -> BitReader:
        """A reader of the content of a box."""
        return self.fields(self.data[box.start : box.end])

    def boxes(self, start: int, end: int) -> Iterator[Box]:
        """The boxes between two positions; raises ValueError for one that does not fit."""
        while start + 8 <= end:
            head = self.fields(self.data[start : min(end, start + 16)])
            size, kind, length = head.number(4), head.number(4).to_bytes(4, "big"), 8
            if size == 1:
                size, length = head.number(8), 16
            stop = start + size if size else end
            if stop < start + length or stop > end:
                raise ValueError("a part of it does not fit")
            yield Box(kind, start + length, stop)
            start = stop

    def only(self, parent: Box, skip: int = 0) -> dict[bytes, Box]:
        """The boxes in one, by kind; two tables of one kind are refused, as a decoder might take the other one."""
        found: dict[bytes, Box] = {}
        for box in self.boxes(parent.start + skip, parent.end):
            if box.kind in found and box.kind in _TABLES:
                raise ValueError("it has two tables for one thing")
            found[box.kind] = box
        return found
