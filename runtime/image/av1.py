"""How large the pictures in an AVIF really are: its header says one size, and the AV1 data in it may say another.

libavif decodes what the data says, and scales that to what the header says: 800 bytes that claim 8 x 8 pixels can hold
16384 x 16384. Boxes are those of ISO/IEC 14496-12 and 23008-12; data is read as the AV1 specification says (version
1.0.0 with Errata 1, sections 5.3 to 5.9). As libavif does, this looks at `meta` and `moov` up to what the brands ask
for, and at nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

MAX_READS = 100_000  # of fields, boxes and units in one file: a photo takes hundreds

_SEQUENCE_HEADER, _FRAME_HEADER, _FRAME = 1, 3, 6
_KEY_FRAME, _SWITCH_FRAME = 0, 3
_ASKED = 2  # of a tool of the codec: each frame says whether it is used
_PARENTS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl"})
_DEEPEST = 8  # box within box
_NEEDED_BY = {b"avif": b"meta", b"avis": b"moov"}

Bytes = bytes | memoryview


class Coded(NamedTuple):
    """What an AVIF holds: the sizes of its pictures, and the pixels of all frames that decoding them may take."""

    sizes: list[tuple[int, int]]
    pixels: int


def coded_pictures(data: bytes) -> Coded:
    """Every picture and the first of every film in an AVIF.

    Raises ValueError or IndexError where they cannot be found.
    """
    container = _Container(data)
    headers: list[_Sequence] = []
    pixels = 0
    for picture in container.pictures():
        sequence = None
        for kind, unit in container.units(picture):
            if kind == _SEQUENCE_HEADER:
                sequence = _read_sequence(unit)
                headers.append(sequence)
            elif kind in {_FRAME, _FRAME_HEADER} and sequence:
                pixels += _frame_pixels(sequence, unit)
        if not sequence:
            raise ValueError("a picture of it has no header")
    if not headers:
        raise ValueError("it holds no AV1 picture")
    return Coded([(header.width, header.height) for header in headers], pixels)


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
        """The data of each."""
        needed: set[bytes] = set()
        for box in self._boxes(0, len(self._data)):
            if box.kind == b"ftyp":
                brands = {bytes(self._data[at : at + 4]) for at in range(box.start, min(box.end, box.start + 256), 4)}
                needed = {_NEEDED_BY[brand] for brand in brands & _NEEDED_BY.keys()}
            elif box.kind == b"meta":
                yield from self._items(box)
            elif box.kind == b"moov":
                yield from self._first_samples(box, _DEEPEST)
            needed.discard(box.kind)
            if not needed:
                return

    def units(self, picture: Bytes) -> Iterator[tuple[int, _Fields]]:
        """The kind and content of each OBU."""
        at = 0
        while at < len(picture):
            head = picture[at]
            at += 2 if head & 4 else 1
            size = len(picture) - at
            if head & 2:
                size, at = _leb128(picture, at)
            self._read()
            yield head >> 3 & 15, self._fields(picture[at : at + size])
            at += size

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
            head = self._fields(self._data[start : min(end, start + 16)])
            size, kind, length = head.number(4), head.number(4).to_bytes(4, "big"), 8
            if size == 1:
                size, length = head.number(8), 16
            stop = start + size if size else end
            if stop < start + length or stop > end:
                raise ValueError("a part of it does not fit")
            yield _Box(kind, start + length, stop)
            start = stop

    def _only(self, parent: _Box, skip: int = 0) -> dict[bytes, _Box]:
        """The boxes in one, by kind; of two tables of a kind a decoder might take the other."""
        found: dict[bytes, _Box] = {}
        for box in self._boxes(parent.start + skip, parent.end):
            if box.kind in found and box.kind in _TABLES:
                raise ValueError("it has two tables for one thing")
            found[box.kind] = box
        return found

    def _items(self, meta: _Box) -> Iterator[Bytes]:
        """The data of each AV1 item."""
        parts = self._only(meta, skip=4)
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
        for box in self._boxes(parent.start, parent.end):
            if box.kind == b"stbl":
                yield from self._first_sample(box)
            elif box.kind in _PARENTS:
                yield from self._first_samples(box, deepest - 1)

    def _first_sample(self, stbl: _Box) -> Iterator[Bytes]:
        parts = self._only(stbl)
        if b"stsd" not in parts or all(
            entry.kind != b"av01" for entry in self._boxes(parts[b"stsd"].start + 8, parts[b"stsd"].end)
        ):
            return
        tables = [parts[kind] for kind in (b"stco", b"co64") if kind in parts]
        if len(tables) != 1 or b"stsz" not in parts:
            raise ValueError("a film of it cannot be found")
        offsets, sizes = self._inside(tables[0]), self._inside(parts[b"stsz"])
        offsets.number(8)  # version, count
        sizes.number(4)
        start = offsets.number(8 if tables[0].kind == b"co64" else 4)
        size = sizes.number(4) or (sizes.number(4) and sizes.number(4))  # of all, or how many and the first
        yield self._data[start : start + size]


_TABLES = frozenset({b"iinf", b"iloc", b"idat", b"stsd", b"stsz", b"stco", b"co64"})


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


@dataclass
class _Sequence:
    """What a sequence header says, as far as it bears on the size of a frame."""

    still: bool  # one picture, whose frame has no size of its own
    width: int = 0
    height: int = 0
    most: int = 0  # pixels that the fields of a frame's own size could tell
    time_bits: int = 0  # of the moment at which a frame is shown
    id_bits: int = 0
    screen_content: int = _ASKED
    whole_vectors: int = _ASKED


def _read_sequence(bits: _Fields) -> _Sequence:
    bits.bits(4)  # profile, whether it is a still picture
    sequence = _Sequence(still=bool(bits.bits(1)))
    if sequence.still:
        bits.bits(5)
    else:
        sequence.time_bits = _read_timing(bits)
    width_bits, height_bits = bits.bits(4) + 1, bits.bits(4) + 1
    sequence.width, sequence.height = bits.bits(width_bits) + 1, bits.bits(height_bits) + 1
    sequence.most = 1 << width_bits + height_bits
    if sequence.still:
        return sequence
    if bits.bits(1):
        sequence.id_bits = bits.bits(4) + 2
        sequence.id_bits += bits.bits(3) + 1
    bits.bits(7)  # seven tools of the codec
    if bits.bits(1):  # order hints
        bits.bits(2)
    if not bits.bits(1):
        sequence.screen_content = bits.bits(1)
    if sequence.screen_content and not bits.bits(1):
        sequence.whole_vectors = bits.bits(1)
    return sequence


def _read_timing(bits: _Fields) -> int:
    """Timing, decoder model and operating points; returns how many bits tell when a frame is shown."""
    delay_bits = time_bits = 0
    if bits.bits(1):
        bits.bits(64)
        equal = bits.bits(1)
        if equal:
            _skip_uvlc(bits)
        if bits.bits(1):
            delay_bits = bits.bits(5) + 1
            bits.bits(37)
            time_bits = bits.bits(5) + 1
            time_bits = 0 if equal else time_bits
    initial_delay = bits.bits(1)
    for _ in range(bits.bits(5) + 1):  # operating points
        bits.bits(12)
        if bits.bits(5) > 7:
            bits.bits(1)
        if delay_bits and bits.bits(1):
            bits.bits(2 * delay_bits + 1)
        if initial_delay and bits.bits(1):
            bits.bits(4)
    return time_bits


def _frame_pixels(sequence: _Sequence, bits: _Fields) -> int:
    """Of one frame: its sequence's, unless it has a size of its own, which is not read: the largest then."""
    size = sequence.width * sequence.height
    if sequence.still:
        return size
    if bits.bits(1):  # a frame that is there already is shown
        return 0
    kind, shown = bits.bits(2), bits.bits(1)
    bits.bits(sequence.time_bits if shown else 1)
    if kind != _SWITCH_FRAME and not (kind == _KEY_FRAME and shown):
        bits.bits(1)  # resilience against errors
    bits.bits(1)
    screen_content = bits.bits(1) if sequence.screen_content == _ASKED else sequence.screen_content
    if screen_content and sequence.whole_vectors == _ASKED:
        bits.bits(1)
    bits.bits(sequence.id_bits)
    return sequence.most if kind == _SWITCH_FRAME or bits.bits(1) else size


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
