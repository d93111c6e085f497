"""JPEG decoding: whether the coded data are whole, told by what the decoder asks for.

libjpeg draws what it has, makes the rest grey, and says so in warnings, which Pillow does not hand on. But given data
without the marker behind them, it waits for more until the picture is complete. So each scan is handed over alone, with
a few bits that stand for no code behind it, and then it is seen whether the decoder still waits.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple, cast

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from runtime.image.errors import UnsupportedImage
from runtime.image.header import PhotoHeader
from runtime.image.jpeg.markers import (
    ARITHMETIC,
    ARITHMETIC_PROGRESSIVE,
    BEGIN,
    END,
    MARKER,
    RESTART_INTERVAL,
    SCAN,
    Segment,
    header_segments,
    segments,
    unsupported_kind,
)

# Ones: padding in front of a marker, and the beginning of no code (T.81, annexes C and F.1.2.3), so that a block takes
# at least 17 bits of them. Eight bytes are as many as the decoder reads ahead.
_ONES = b"\xff\x00"
_PADDING = 8 * _ONES
_OTHER_PADDING = 8 * b"\x55"  # codes of differences and coefficients other than 0, with most tables
_PROBES = 8
_ZEROS = bytes(64)  # an arithmetic coder leaves out those at the end (T.81, annex D.1.8)
_END_MARKER = bytes([0xFF, END])
# More bytes behind a complete picture than an encoder pads it with.
_SURPLUS_BYTES = 64
_SCAN_MARKER, _INTERVAL_HEADER = bytes([0xFF, SCAN]), bytes([0xFF, RESTART_INTERVAL, 0, 4])
_FILL = 0xFF
_END = re.compile(rb"\xff+\xd9")
_STRIP_ROWS = 64
_ANY_MARKER = re.compile(rb"\xff[^\x00\xff]")
_FIRST_RESTART = 0xD0
_BLOCK_BYTES = 1 << 15
_COEFFICIENTS, _UNSEEN = 64, 16


class Incomplete(OSError):
    """The data end before the picture does, without an end marker."""

    def __init__(self) -> None:
        """Say so as Pillow does."""
        super().__init__("image file is truncated")


class _Scan(NamedTuple):
    """One scan (T.81, B.2.3 and G.1.1.1): where its data lie, and what of which components it holds."""

    begin: int
    end: int
    components: tuple[int, ...]
    first: int  # coefficient, 0..63
    last: int
    refines: bool  # by one bit what earlier scans said
    low: int  # bits that are left to later scans
    interval: int  # units between two restart markers (B.2.4.4); 0 without any


class _Coded(NamedTuple):
    """An opened JPEG that is decoded in full or at scale, and its size in px as it is coded."""

    image: JpegImageFile
    data: bytes
    begin: int  # of the data of its first scan
    width: int
    height: int


class Decoder:
    """Pillow's JPEG decoder, fed piece by piece."""

    def __init__(
        self, decoder: Any, image: Any, extents: tuple[int, int, int, int] | None, padding: bytes = _PADDING
    ) -> None:
        """Decode into `image`, Pillow's inner one, by its `decoder`; `padding` is what is fed behind a scan."""
        self.padding = padding
        self._decoder = decoder
        self._decoder.setimage(image, extents)
        self._rest = b""
        self.done = False

    def feed(self, data: bytes | memoryview) -> None:
        """Decode as far as `data` go; raises OSError for what cannot be decoded."""
        if self.done:
            return
        given = self._rest + data if self._rest else data
        taken, error = self._decoder.decode(given)
        if error < 0:
            raise OSError("it cannot be decoded")
        self.done = taken < 0
        self._rest = b"" if self.done else bytes(given[taken:])

    def waits_for_marker(self) -> bool:
        """Whether a scan of several is complete: then anything but a marker is skipped at once."""
        self.feed(self.padding)
        for _ in range(_PROBES):
            self.feed(_ONES)
            if self._rest:
                return False
        return True

    def require_done(self) -> None:
        """Raise Incomplete if the decoder still waits for data."""
        if not self.done:
            raise Incomplete

    def close(self) -> None:
        """Free what the decoder holds."""
        self._decoder.cleanup()


def _decoder_of(image: JpegImageFile, padding: bytes = _PADDING) -> Decoder:
    """The decoder of an opened JPEG, whose tile and scale are set."""
    image.load_prepare()
    name, extents, _, arguments = image.tile[0]
    decoder = Image._getdecoder(image.mode, name, arguments, image.decoderconfig)
    return Decoder(decoder, image.im, extents, padding)


def load_jpeg(header: PhotoHeader) -> bool:
    """Decode a JPEG that is opened, and perhaps to be scaled; returns whether it is damaged: pieces of it are missing.

    An end marker that is missing behind a whole picture is made up. Raises Incomplete if the picture is not whole and
    has no end marker either, UnsupportedImage for a kind that libjpeg has no decoder for, and OSError if it cannot be
    decoded. Of a photo that is coded arithmetically and in several scans, nobody can say whether it is damaged.
    """
    image = cast("JpegImageFile", header.image)
    file = cast("io.BytesIO", image.fp)
    coded = _Coded(image, file.getvalue(), header.first_scan, header.width, header.height)
    try:
        damaged = _load(coded, header)
    except Incomplete:
        raise
    except OSError:
        if kind := unsupported_kind(coded.data):
            raise UnsupportedImage.of_kind(kind) from None
        raise
    image.tile = []  # Pillow has nothing left to load
    image.fp = None
    return damaged


def _load(coded: _Coded, header: PhotoHeader) -> bool:
    if header.frame_type not in {ARITHMETIC, ARITHMETIC_PROGRESSIVE}:
        return _decode_scans(coded, single=header.scans == 1)
    if header.scans == 1:
        return _decode_arithmetic(coded)
    _decode_at_once(coded.image, coded.data)
    return False


def _decode_at_once(image: JpegImageFile, data: bytes) -> None:
    """Decode arithmetic coding, whose decoder cannot wait for more data; raises OSError."""
    decoder = _decoder_of(image)
    try:
        decoder.feed(data)
    finally:
        decoder.close()
    decoder.require_done()


def _decode_arithmetic(coded: _Coded) -> bool:
    """Without a marker the decoder fails over what is missing; with one it makes it up."""
    try:
        _decode_at_once(coded.image, coded.data[: next(_scans(coded)).end] + _ZEROS)
    except OSError:
        if coded.data.find(_END_MARKER, coded.begin) < 0:
            raise Incomplete from None
        _decode_at_once(coded.image, coded.data)
        return True
    return False


def _decode_scans(coded: _Coded, *, single: bool) -> bool:
    """Decode Huffman's codes; returns whether pieces of them are missing."""
    if single and _decode_usual(coded):
        return False
    whole, ended = _decode_with(coded, _PADDING, single=single)
    if whole and not ended:
        # Then the bits of the last code may be made up: with others the picture is the same, or it was not whole.
        before = _checksum(coded.image)
        _decode_with(coded, _OTHER_PADDING, single=single)
        whole = _checksum(coded.image) == before
    if not whole and coded.data.find(_END_MARKER, coded.begin) < 0:
        raise Incomplete
    return not whole


def _decode_with(coded: _Coded, padding: bytes, *, single: bool) -> tuple[bool, bool]:
    """Decode with `padding` behind each scan; returns whether the picture is whole, and has an end marker."""
    decoder = _decoder_of(coded.image, padding)
    try:
        whole, end = _decode_single(decoder, coded) if single else _decode_several(decoder, coded)
        decoder.feed(_END_MARKER)
    finally:
        decoder.close()
    decoder.require_done()
    return whole, _END.match(coded.data, end) is not None


def _checksum(image: JpegImageFile) -> int:
    """Of the pixels decoded so far, strip by strip."""
    tiles, image.tile = image.tile, []  # with tiles left Pillow would decode them
    checksum = 0
    for top in range(0, image.height, _STRIP_ROWS):
        strip = image.crop((0, top, image.width, min(top + _STRIP_ROWS, image.height)))
        checksum = zlib.crc32(strip.tobytes(), checksum)
    image.tile = tiles
    return checksum


def _decode_usual(coded: _Coded) -> bool:
    """Decode one scan that goes on up to the end of the file; False if it is no such."""
    if "mp" in coded.image.info:
        return False
    decoded = decode_whole(_decoder_of(coded.image), coded.data, coded.begin)
    return decoded and _has_restarts(coded, coded.begin, len(coded.data), _interval_of_first(coded), None)


def decode_whole(decoder: Decoder, data: bytes, begin: int) -> bool:
    """Decode one scan that goes on up to the end of the file, without looking through it; False if it is no such.

    If the picture is complete in the last bytes, and not before, then there is no other marker in the scan: behind one
    the decoder would wait for nothing. `begin` is where the data of the scan begin; the decoder is closed.
    """
    needed = len(data) - len(_END_MARKER) - _SURPLUS_BYTES
    tail = data[needed : -len(_END_MARKER)]
    try:
        if needed <= begin or not data.endswith(_END_MARKER) or MARKER.search(tail):
            return False
        decoder.feed(memoryview(data)[:needed])
        if decoder.done:
            return False
        decoder.feed(tail + _PADDING)
    except OSError:
        return False
    finally:
        decoder.close()
    return decoder.done


def _decode_single(decoder: Decoder, coded: _Coded) -> tuple[bool, int]:
    """Decode a photo in one scan as far as it goes; returns whether it is whole, and where its data end."""
    scan = next(_scans(coded))
    view, end = memoryview(coded.data), scan.end
    needed = end - _SURPLUS_BYTES
    if needed > coded.begin and coded.data.startswith(_END_MARKER, end):
        decoder.feed(view[:needed])
        if decoder.done:
            return False, end
        decoder.feed(view[needed:end])
    else:
        decoder.feed(view[:end])
    decoder.feed(decoder.padding)
    if not decoder.done:
        decoder.feed(view[end:])
        return False, end
    return _has_restarts(coded, scan.begin, scan.end, scan.interval, scan.components), end


def _decode_several(decoder: Decoder, coded: _Coded) -> tuple[bool, int]:
    """The same for a photo in several scans, progressive or not."""
    view, fed, whole = memoryview(coded.data), 0, True
    left = {number: [_UNSEEN] * _COEFFICIENTS for number, *_ in coded.image.layer}  # bits of each coefficient
    for scan in _scans(coded):
        decoder.feed(view[fed : scan.end])
        fed = scan.end
        complete = decoder.waits_for_marker()
        whole = whole and complete and _has_restarts(coded, scan.begin, scan.end, scan.interval, scan.components)
        whole = whole and (not _refines_dc(scan) or _has_bits(coded, scan))
        for number in left.keys() & set(scan.components):
            left[number][scan.first : scan.last + 1] = [scan.low] * (scan.last + 1 - scan.first)
    whole = whole and not any(map(any, left.values()))
    if not whole:
        decoder.feed(view[fed:])
    return whole, fed


def _scans(coded: _Coded) -> Iterator[_Scan]:
    """The scans up to the end of the picture, or to where another one begins."""
    data, begin, interval = coded.data, coded.begin, _interval_of_first(coded)
    while True:
        header = data[data.rfind(_SCAN_MARKER, 0, begin) + 2 : begin]
        first, last, bits = header[-3:] if "progressive" in coded.image.info else (0, _COEFFICIENTS - 1, 0)
        end = _scan_end(data, begin, MARKER if interval else _ANY_MARKER)
        components = tuple(header[3:-3:2])
        yield _Scan(begin, end, components, first, min(last, _COEFFICIENTS - 1), bits >> 4 > 0, bits & 15, interval)
        for segment in segments(data, end):
            if segment.marker == RESTART_INTERVAL:
                interval = _interval(data, segment)
            if segment.marker in {SCAN, BEGIN}:
                break
        else:
            return
        if segment.marker == BEGIN:
            return
        begin = segment.end


def _scan_end(data: bytes, begin: int, marker: re.Pattern[bytes]) -> int:
    """Where the coded data that start at `begin` end: before a marker, and the bytes that fill up to it."""
    found = marker.search(data, begin)
    end = found.start() if found else len(data)
    while end > begin and data[end - 1] == _FILL:
        end -= 1
    return end


def _interval_of_first(coded: _Coded) -> int:
    if coded.data.find(_INTERVAL_HEADER, 0, coded.begin) < 0:
        return 0
    found = [_interval(coded.data, each) for each in header_segments(coded.data) if each.marker == RESTART_INTERVAL]
    return found[-1] if found else 0


def _interval(data: bytes, segment: Segment) -> int:
    return int.from_bytes(data[segment.begin + 2 : segment.begin + 4], "big")


def _has_restarts(coded: _Coded, begin: int, end: int, interval: int, components: Collection[int] | None) -> bool:
    """Whether a scan, of all components if None, has as many restart markers as its size calls for."""
    if not interval:
        return True
    units, _ = _units(coded, components)
    return _count_restarts(memoryview(coded.data)[begin:end]) >= -(-units // interval) - 1


def _count_restarts(scan: memoryview) -> int:
    """The restart markers in the data of a scan, block by block of what fits into the processor's cache."""
    values = np.frombuffer(scan, np.uint8)
    blocks = (values[start : start + _BLOCK_BYTES + 1] for start in range(0, len(values), _BLOCK_BYTES))
    return sum(int(np.count_nonzero((each[:-1] == _FILL) & ((each[1:] & 0xF8) == _FIRST_RESTART))) for each in blocks)


def _refines_dc(scan: _Scan) -> bool:
    return scan.refines and scan.last == 0


def _has_bits(coded: _Coded, scan: _Scan) -> bool:
    """Whether a scan that has one bit for each block has them all; such a one never waits for more than a byte."""
    units, blocks = _units(coded, scan.components)
    bits = coded.data[scan.begin : scan.end].replace(b"\xff\x00", b"\xff")
    return scan.interval > 0 or 8 * len(bits) >= units * blocks


def _units(coded: _Coded, components: Collection[int] | None) -> tuple[int, int]:
    """The units of a scan, and the blocks of each (T.81, A.2): of one component it has no padding."""
    layers = coded.image.layer
    most_across, most_down = max(across for _, across, _, _ in layers), max(down for _, _, down, _ in layers)
    chosen = [(across, down) for number, across, down, _ in layers if components is None or number in components]
    if len(chosen) == 1:
        ((across, down),) = chosen
        width, height = -(-coded.width * across // most_across), -(-coded.height * down // most_down)
        return -(-width // 8) * -(-height // 8), 1
    units = -(-coded.width // (8 * most_across)) * -(-coded.height // (8 * most_down))
    return units, sum(across * down for across, down in chosen)
