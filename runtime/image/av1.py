"""How large the pictures in an AVIF really are: its header says one size, and the AV1 data in it may say another.

libavif decodes what the data says, and scales that to what the header says: 800 bytes that claim 8 x 8 pixels can hold
16384 x 16384. Boxes are those of ISO/IEC 14496-12 and 23008-12; data is read as the AV1 specification says (version
1.0.0 with Errata 1, sections 5.3 to 5.5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

MAX_READS = 100_000  # of fields, boxes and units in one file: a photo takes hundreds

_SEQUENCE_HEADER = 1
_PARENTS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl"})
_DEEPEST = 8  # box within box

Bytes = bytes | memoryview


class Coded(NamedTuple):
    """The size of a coded picture; `most` is the pixels of the largest that its frames may be."""

    width: int
    height: int
    most: int


def coded_pictures(data: bytes) -> list[Coded]:
    """Every picture and the first of every film in an AVIF.

    Raises ValueError or IndexError where one cannot be found, which a decoder cannot either.
    """
    container = _Container(data)
    sizes = [container.largest(picture) for picture in container.pictures()]
    if not sizes:
        raise ValueError("it holds no AV1 picture")
    return sizes


class _Box(NamedTuple):
    kind: bytes
    start: int
    end: int


class _Container:
    """The file; it counts what is read of it, since a hostile one could have millions of parts."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._left = MAX_READS
        self._joined = 0

    def pictures(self) -> Iterator[Bytes]:
        for box in self._boxes(0, len(self._data)):
            if box.kind == b"meta":
                yield from self._items(box)
            elif box.kind == b"moov":
                yield from self._first_samples(box, _DEEPEST)

    def largest(self, picture: Bytes) -> Coded:
        headers = [self._coded(unit) for kind, unit in self._units(picture) if kind == _SEQUENCE_HEADER]
        if not headers:
            raise ValueError("a picture of it has no header")
        return max(headers, key=lambda coded: coded.most)

    def _read(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise ValueError("it has too many parts")

    def _fields(self, data: Bytes) -> _Fields:
        return _Fields(data, self._read)

    def _inside(self, box: _Box) -> _Fields:
        return self._fields(self._data[box.start : box.end])

    def _boxes(self, start: int, end: int) -> Iterator[_Box]:
        while start + 8 <= end:
            self._read()
            head = self._fields(self._data[start : min(end, start + 16)])
            size, kind, length = head.number(4), head.number(4).to_bytes(4, "big"), 8
            if size == 1:
                size, length = head.number(8), 16
            stop = start + size if size else end
            if stop < start + length or stop > end:
                raise ValueError("a part of it does not fit")
            yield _Box(kind, start + length, stop)
            start = stop

    def _items(self, meta: _Box) -> Iterator[Bytes]:
        """The data of each AV1 item."""
        parts = {box.kind: box for box in self._boxes(meta.start + 4, meta.end)}
        if b"iinf" not in parts or b"iloc" not in parts:
            return
        coded = set(self._coded_items(parts[b"iinf"]))
        for item, extents, within in _locations(self._inside(parts[b"iloc"])):
            if item in coded:
                start = parts[b"idat"].start if within and b"idat" in parts else 0
                yield self._join([(start + at, start + at + size if size else len(self._data)) for at, size in extents])

    def _join(self, runs: list[tuple[int, int]]) -> Bytes:
        if len(runs) == 1:
            return self._data[slice(*runs[0])]
        self._joined += sum(max(0, end - start) for start, end in runs)
        if self._joined > len(self._data):
            raise ValueError("its parts overlap")
        return b"".join(self._data[start:end] for start, end in runs)

    def _coded_items(self, iinf: _Box) -> Iterator[int]:
        count_bytes = 4 if self._inside(iinf).number(4) >> 24 else 2
        for box in self._boxes(iinf.start + 4 + count_bytes, iinf.end):
            fields = self._inside(box)
            item = fields.number(4 if fields.number(4) >> 24 == 3 else 2)
            fields.number(2)  # how it is protected
            if fields.number(4) == int.from_bytes(b"av01", "big"):
                yield item

    def _first_samples(self, parent: _Box, deepest: int) -> Iterator[Bytes]:
        """The first picture of each film."""
        if not deepest:
            raise ValueError("its parts are nested too deep")
        parts = {}
        for box in self._boxes(parent.start, parent.end):
            parts[box.kind] = box
            if box.kind in _PARENTS:
                yield from self._first_samples(box, deepest - 1)
        table = parts.get(b"co64") or parts.get(b"stco")
        if table and b"stsz" in parts:
            offsets, sizes = self._inside(table), self._inside(parts[b"stsz"])
            offsets.number(8)  # version, count
            sizes.number(4)
            start = offsets.number(8 if table.kind == b"co64" else 4)
            size = sizes.number(4) or (sizes.number(4) and sizes.number(4))  # of all, or how many and the first
            yield self._data[start : start + size]

    def _units(self, picture: Bytes) -> Iterator[tuple[int, Bytes]]:
        """The kind and content of each OBU."""
        at = 0
        while at < len(picture):
            self._read()
            head = picture[at]
            at += 2 if head & 4 else 1
            size = len(picture) - at
            if head & 2:
                size, at = _leb128(picture, at)
            yield head >> 3 & 15, picture[at : at + size]
            at += size

    def _coded(self, sequence_header: Bytes) -> Coded:
        """The largest frame; where frames may differ, the largest that the width of their fields allows."""
        bits = self._fields(sequence_header)
        bits.bits(4)  # profile, still picture
        reduced = bits.bits(1)
        if reduced:
            bits.bits(5)
        else:
            _skip_timing(bits)
        width_bits, height_bits = bits.bits(4) + 1, bits.bits(4) + 1
        width, height = bits.bits(width_bits) + 1, bits.bits(height_bits) + 1
        return Coded(width, height, width * height if reduced else 1 << width_bits + height_bits)


def _locations(iloc: _Fields) -> Iterator[tuple[int, list[tuple[int, int]], bool]]:
    """Each item, its extents (offset and size; 0: all that follows), and whether they are within `idat`."""
    version = iloc.number(4) >> 24
    sizes = iloc.number(2)
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    for _ in range(iloc.number(4 if version == 2 else 2)):
        item = iloc.number(4 if version == 2 else 2)
        method = iloc.number(2) & 15 if version else 0
        iloc.number(2)  # of which file
        base = iloc.number(base_size)
        extents = []
        for _ in range(iloc.number(2)):
            iloc.number(index_size if version else 0)
            extents.append((base + iloc.number(offset_size), iloc.number(length_size)))
        yield item, extents, method == 1


def _leb128(data: Bytes, at: int) -> tuple[int, int]:
    """The number, of at most 8 bytes, and the position behind it."""
    number = 0
    for i in range(8):
        number |= (data[at + i] & 127) << 7 * i
        if data[at + i] < 128:
            return number, at + i + 1
    raise ValueError("the size of a part cannot be read")


def _skip_timing(bits: _Fields) -> None:
    delay_bits = 0
    if bits.bits(1):
        bits.bits(64)
        if bits.bits(1):
            _skip_uvlc(bits)
        if bits.bits(1):
            delay_bits = bits.bits(5) + 1
            bits.bits(42)
    initial_delay = bits.bits(1)
    for _ in range(bits.bits(5) + 1):  # operating points
        bits.bits(12)
        if bits.bits(5) > 7:
            bits.bits(1)
        if delay_bits and bits.bits(1):
            bits.bits(2 * delay_bits + 1)
        if initial_delay and bits.bits(1):
            bits.bits(4)


def _skip_uvlc(bits: _Fields) -> None:
    zeros = 0
    while not bits.bits(1):
        zeros += 1
    bits.bits(zeros if zeros < 32 else 0)


class _Fields:
    """Numbers one after the other; raises IndexError behind the end."""

    def __init__(self, data: Bytes, read: Callable[[], None]) -> None:
        """`read` is called for each."""
        self._data = data
        self._read = read
        self._at = 0  # bits

    def number(self, size: int) -> int:
        """The next `size` bytes."""
        return self.bits(8 * size)

    def bits(self, count: int) -> int:
        """The next `count` bits."""
        self._read()
        start, end = self._at, self._at + count
        if end > 8 * len(self._data):
            raise IndexError("it ends too soon")
        self._at = end
        last = -(-end // 8)
        return int.from_bytes(self._data[start // 8 : last], "big") >> 8 * last - end & (1 << count) - 1
