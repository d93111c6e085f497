"""The sizes of AV1 pictures, as their sequence and frame headers tell them.

The AV1 specification, version 1.0.0 with Errata 1, sections 5.3 to 5.9.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

_SEQUENCE_HEADER, _FRAME_HEADER, _FRAME = 1, 3, 6
_KEY_FRAME, _SWITCH_FRAME = 0, 3
_ASKED = 2  # of a tool of the codec: each frame says whether it is used

Bytes = bytes | memoryview


class Fields:
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


def read_picture(picture: Bytes, read: Callable[[], None]) -> tuple[list[tuple[int, int]], int]:
    """The sizes that a picture's sequence headers give, and the pixels of all its frames.

    `read` is called for each part and field. Raises ValueError or IndexError where no such header is whole.
    """
    sizes: list[tuple[int, int]] = []
    pixels = 0
    sequence = None
    for kind, unit in _units(picture, read):
        if kind == _SEQUENCE_HEADER:
            sequence = _read_sequence(unit)
            sizes.append((sequence.width, sequence.height))
        elif kind in {_FRAME, _FRAME_HEADER} and sequence:
            pixels += _frame_pixels(sequence, unit)
    if not sizes:
        raise ValueError("a picture of it has no header")
    return sizes, pixels


def _units(picture: Bytes, read: Callable[[], None]) -> Iterator[tuple[int, Fields]]:
    """The kind and content of each OBU."""
    at = 0
    while at < len(picture):
        read()
        head = picture[at]
        at += 2 if head & 4 else 1
        size = len(picture) - at
        if head & 2:
            size, at = _leb128(picture, at)
        yield head >> 3 & 15, Fields(picture[at : at + size], read)
        at += size


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


def _read_sequence(bits: Fields) -> _Sequence:
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


def _read_timing(bits: Fields) -> int:
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


def _frame_pixels(sequence: _Sequence, bits: Fields) -> int:
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


def _skip_uvlc(bits: Fields) -> None:
    zeros = 0
    while not bits.bits(1):
        zeros += 1
    bits.bits(zeros if zeros < 32 else 0)
