"""AVIF container parser (ISO base media file format): finds the AV1 data and returns the size of each coded picture.

The header of an AVIF states one size, and the AV1 data in it may state another. libavif decodes the latter and scales
the result to the former: 800 bytes that claim 8 x 8 pixels can hold 16384 x 16384. Boxes follow ISO/IEC 14496-12 and
23008-12. As libavif does, this reads `meta` and `moov` until the boxes that the brands require are found, and no
further.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from runtime.image.avif.av1 import read_picture
from runtime.image.avif.bit_reader import BitReader, Bytes
from runtime.image.avif.boxes import Box, Boxes
from runtime.image.avif.properties import Clap, Shown, properties_of, read_shown
from runtime.image.colour.cicp import Cicp

_PARENTS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl"})
_SAMPLE_ENTRY = 78  # bytes of a VisualSampleEntry before the boxes in it
_MAX_DEPTH = 8  # of boxes within boxes
_REQUIRED_BY = {b"avif": b"meta", b"avis": b"moov"}


class Coded(NamedTuple):
    """The sizes (width, height) of the coded pictures of an AVIF; pixels and plane bytes of all frames together.

    And what is said of the one that is shown.
    """

    sizes: list[tuple[int, int]]
    pixels: int
    plane_bytes: int = 0
    cicp: Cicp | None = None  # of the picture that is shown: of its `colr` box, or else of its AV1 data
    clap: Clap | None = None  # its crop


def coded_pictures(data: bytes) -> Coded:
    """Every picture of an AVIF, and the first frame of every image sequence.

    Raises ValueError or IndexError if they cannot be found.
    """
    container = _Container(data)
    pictures = [read_picture(picture, container.count) for picture in container.pictures()]
    if not pictures:
        raise ValueError("it holds no AV1 picture")
    return Coded(
        [size for picture in pictures for size in picture.sizes],
        sum(picture.pixels for picture in pictures),
        sum(picture.plane_bytes for picture in pictures),
        container.shown.cicp or pictures[0].cicp,
        container.shown.clap,
    )


class _Container(Boxes):
    """The pictures in the boxes of a file."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._joined = 0
        self._film = False  # whether a decoder shows the film in it: where the first brand says so
        self.shown = Shown()

    def pictures(self) -> Iterator[Bytes]:
        """The AV1 data of each picture."""
        required: set[bytes] = set()
        for box in self.boxes(0, len(self.data)):
            if box.kind == b"ftyp":
                brands = {bytes(self.data[at : at + 4]) for at in range(box.start, min(box.end, box.start + 256), 4)}
                self._film = bytes(self.data[box.start : box.start + 4]) == b"avis"
                required = {_REQUIRED_BY[brand] for brand in brands & _REQUIRED_BY.keys()}
            elif box.kind == b"meta":
                yield from self._items(box)
            elif box.kind == b"moov":
                yield from self._first_samples(box, _MAX_DEPTH)
            required.discard(box.kind)
            if not required:
                return

    def _items(self, meta: Box) -> Iterator[Bytes]:
        """The data of each AV1 item."""
        parts = self.only(meta, skip=4)
        if b"iinf" not in parts or b"iloc" not in parts:
            return
        if not self._film:
            self.shown = read_shown(self, properties_of(self, parts))
        coded = set(self._coded_items(parts[b"iinf"]))
        for item, extents, within in _locations(self.inside(parts[b"iloc"])):
            if item in coded:
                start = parts[b"idat"].start if within and b"idat" in parts else 0
                yield self._join([(start + at, start + at + size if size else len(self.data)) for at, size in extents])

    def _join(self, runs: list[tuple[int, int]]) -> Bytes:
        if len(runs) == 1:
            return self.data[slice(*runs[0])]
        self._joined += sum(max(0, end - start) for start, end in runs)
        if self._joined > len(self.data):
            raise ValueError("its parts overlap")
        return b"".join(self.data[start:end] for start, end in runs)

    def _coded_items(self, iinf: Box) -> Iterator[int]:
        count_bytes = 4 if self.inside(iinf).number(4) >> 24 else 2
        for box in self.boxes(iinf.start + 4 + count_bytes, iinf.end):
            fields = self.inside(box)
            item = fields.number(4 if fields.number(4) >> 24 == 3 else 2)
            fields.number(2)  # item_protection_index
            if fields.number(4) == int.from_bytes(b"av01", "big"):
                yield item

    def _first_samples(self, parent: Box, depth: int) -> Iterator[Bytes]:
        """The first frame of each track."""
        if not depth:
            raise ValueError("its parts are nested too deep")
        for box in self.boxes(parent.start, parent.end):
            if box.kind == b"stbl":
                yield from self._first_sample(box)
            elif box.kind in _PARENTS:
                yield from self._first_samples(box, depth - 1)

    def _first_sample(self, stbl: Box) -> Iterator[Bytes]:
        parts = self.only(stbl)
        entries = self.boxes(parts[b"stsd"].start + 8, parts[b"stsd"].end) if b"stsd" in parts else iter(())
        entry = next((entry for entry in entries if entry.kind == b"av01"), None)
        if entry is None:
            return
        if self._film and self.shown == Shown():
            self.shown = read_shown(self, self.boxes(entry.start + _SAMPLE_ENTRY, entry.end))
        tables = [parts[kind] for kind in (b"stco", b"co64") if kind in parts]
        if len(tables) != 1 or b"stsz" not in parts:
            raise ValueError("a film of it cannot be found")
        offsets, sizes = self.inside(tables[0]), self.inside(parts[b"stsz"])
        offsets.number(8)  # version, count
        sizes.number(4)
        start = offsets.number(8 if tables[0].kind == b"co64" else 4)
        size = sizes.number(4) or (sizes.number(4) and sizes.number(4))  # of all, or how many and the first
        yield self.data[start : start + size]


def _locations(iloc: BitReader) -> Iterator[tuple[int, list[tuple[int, int]], bool]]:
    """Each item, its extents (offset, size; size 0 is up to the end), and whether offsets are relative to `idat`."""
    version = iloc.number(4) >> 24
    sizes = iloc.number(2)
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    for _ in range(iloc.number(4 if version == 2 else 2)):
        item = iloc.number(4 if version == 2 else 2)
        method = iloc.number(2) & 15 if version else 0
        iloc.number(2)  # data_reference_index
        base = iloc.number(base_size)
        extents = []
        for _ in range(iloc.number(2)):
            iloc.number(index_size if version else 0)
            extents.append((base + iloc.number(offset_size), iloc.number(length_size)))
        yield item, extents, method == 1
