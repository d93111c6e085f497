"""AV1 bitstream parser: the size of each frame, from the sequence and frame headers (OBUs).

The AV1 specification, version 1.0.0 with Errata 1, sections 5.3 to 5.9.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from runtime.image.avif.bit_reader import BitReader, Bytes
from runtime.image.colour.cicp import Cicp

_SEQUENCE_HEADER, _FRAME_HEADER, _FRAME = 1, 3, 6
_KEY_FRAME, _SWITCH_FRAME = 0, 3
_PER_FRAME = 2  # SELECT_SCREEN_CONTENT_TOOLS, SELECT_INTEGER_MV: each frame says whether it uses the tool
_SRGB = (1, 13, 0)  # colour primaries, transfer and matrix of a picture that is coded as red, green and blue
_MOST_BYTES = 18.0  # a pixel in three planes of 16 bits, three times


class Picture(NamedTuple):
    """The sizes in a picture's sequence headers; pixels of all its frames together, and the bytes of their planes."""

    sizes: list[tuple[int, int]]
    pixels: int
    plane_bytes: int
    cicp: Cicp | None = None  # of the first sequence header


def read_picture(picture: Bytes, count: Callable[[], None]) -> Picture:
    """What the headers of a picture say.

    `count` is called for each OBU and field. Raises ValueError or IndexError if no sequence header can be read.
    """
    sizes: list[tuple[int, int]] = []
    pixels = 0
    plane_bytes = 0.0
    sequence = cicp = None
    for kind, unit in _units(picture, count):
        if kind == _SEQUENCE_HEADER:
            sequence = _read_sequence(unit)
            sizes.append((sequence.width, sequence.height))
            cicp = cicp or sequence.cicp
        elif kind in {_FRAME, _FRAME_HEADER} and sequence:
            frame_pixels = _frame_pixels(sequence, unit)
            pixels += frame_pixels
            plane_bytes += frame_pixels * sequence.pixel_bytes
    if not sizes:
        raise ValueError("a picture of it has no header")
    return Picture(sizes, pixels, int(plane_bytes), cicp)


def _units(picture: Bytes, count: Callable[[], None]) -> Iterator[tuple[int, BitReader]]:
    """The type and content of each OBU (open bitstream unit)."""
    at = 0
    while at < len(picture):
        count()
        head = picture[at]
        at += 2 if head & 4 else 1
        size = len(picture) - at
        if head & 2:
            size, at = _leb128(picture, at)
        yield head >> 3 & 15, BitReader(picture[at : at + size], count)
        at += size


def _leb128(data: Bytes, at: int) -> tuple[int, int]:
    """A LEB128 number of at most 8 bytes, and the position after it."""
    number = 0
    for i in range(8):
        number |= (data[at + i] & 127) << 7 * i
        if data[at + i] < 128:
            return number, at + i + 1
    raise ValueError("the size of a part cannot be read")


@dataclass
class _Sequence:
    """The fields of a sequence header that are needed to read the size of a frame."""

    still: bool  # reduced_still_picture_header: one frame, of the size given here
    width: int = 0
    height: int = 0
    max_frame_pixels: int = 0  # that the size fields of a single frame can express
    time_bits: int = 0  # of frame_presentation_time
    id_bits: int = 0  # of current_frame_id
    screen_content: int = _PER_FRAME
    integer_mv: int = _PER_FRAME
    pixel_bytes: float = _MOST_BYTES  # of the planes of one pixel
    cicp: Cicp | None = None


def _read_sequence(bits: BitReader) -> _Sequence:
    profile = bits.bits(3)
    bits.bits(1)  # whether it is a still picture
    sequence = _Sequence(still=bool(bits.bits(1)))
    if sequence.still:
        bits.bits(5)
    else:
        sequence.time_bits = _read_timing(bits)
    width_bits, height_bits = bits.bits(4) + 1, bits.bits(4) + 1
    sequence.width, sequence.height = bits.bits(width_bits) + 1, bits.bits(height_bits) + 1
    sequence.max_frame_pixels = 1 << width_bits + height_bits
    _read_tools(sequence, bits)
    with suppress(IndexError):  # no decoder takes it; if one did, the most is assumed
        sequence.pixel_bytes = _read_pixel_bytes(sequence, profile, bits)
    return sequence


def _read_tools(sequence: _Sequence, bits: BitReader) -> None:
    if sequence.still:
        bits.bits(3)
        return
    if bits.bits(1):
        sequence.id_bits = bits.bits(4) + 2
        sequence.id_bits += bits.bits(3) + 1
    bits.bits(7)  # seven coding tools
    order_hints = bits.bits(1)
    if order_hints:
        bits.bits(2)
    if not bits.bits(1):
        sequence.screen_content = bits.bits(1)
    if sequence.screen_content and not bits.bits(1):
        sequence.integer_mv = bits.bits(1)
    if order_hints:
        bits.bits(3)


def _read_pixel_bytes(sequence: _Sequence, profile: int, bits: BitReader) -> float:
    """Bytes of all planes for each pixel; twice that if frames are scaled up or given grain, which makes a copy."""
    scaled = bits.bits(1)  # enable_superres
    bits.bits(2)  # two filters
    deep = bits.bits(1)
    twelve = bits.bits(1) if deep and profile == 2 else 0
    samples = _read_samples(sequence, profile, twelve, bits)
    return samples * (1 + deep) * (1 + scaled + bits.bits(1))  # film_grain_params_present


def _read_samples(sequence: _Sequence, profile: int, twelve: int, bits: BitReader) -> float:
    """Samples for each pixel: 1 for grey, 1.5 to 3 for colour, by its subsampling; the rest of color_config."""
    grey = 0 if profile == 1 else bits.bits(1)
    colours = (bits.bits(8), bits.bits(8), bits.bits(8)) if bits.bits(1) else None
    if colours:
        sequence.cicp = Cicp(colours[0], colours[1])
    if grey:
        bits.bits(1)  # color_range
        return 1
    if colours == _SRGB:
        bits.bits(1)  # separate_uv_delta_q
        return 3
    bits.bits(1)  # color_range
    across, down = _read_subsampling(profile, twelve, bits)
    bits.bits(3 if across and down else 1)  # the position of chroma samples, separate_uv_delta_q
    return 1 + 2 / (1 + across) / (1 + down)


def _read_subsampling(profile: int, twelve: int, bits: BitReader) -> tuple[int, int]:
    if profile < 2:
        return (1, 1) if profile == 0 else (0, 0)
    if not twelve:
        return 1, 0
    across = bits.bits(1)
    return across, bits.bits(1) if across else 0


def _read_timing(bits: BitReader) -> int:
    """Skip timing, decoder model and operating points; returns the width of frame_presentation_time in bits."""
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


def _frame_pixels(sequence: _Sequence, bits: BitReader) -> int:
    """The pixels of a frame: of the sequence's size or, if it overrides that, of the largest that it could state."""
    size = sequence.width * sequence.height
    if sequence.still:
        return size
    if bits.bits(1):  # show_existing_frame
        return 0
    kind, shown = bits.bits(2), bits.bits(1)
    bits.bits(sequence.time_bits if shown else 1)
    if kind != _SWITCH_FRAME and not (kind == _KEY_FRAME and shown):
        bits.bits(1)  # error_resilient_mode
    bits.bits(1)
    screen_content = bits.bits(1) if sequence.screen_content == _PER_FRAME else sequence.screen_content
    if screen_content and sequence.integer_mv == _PER_FRAME:
        bits.bits(1)
    bits.bits(sequence.id_bits)
    return sequence.max_frame_pixels if kind == _SWITCH_FRAME or bits.bits(1) else size


def _skip_uvlc(bits: BitReader) -> None:
    zeros = 0
    while not bits.bits(1):
        zeros += 1
    bits.bits(zeros if zeros < 32 else 0)
