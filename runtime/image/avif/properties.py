"""Item properties of an AVIF: colour (`colr`) and crop (`clap`, the clean aperture) of the picture that is shown.

ISO/IEC 23008-12, 6.5 and 9.3; ISO/IEC 14496-12, 12.1.4 (`clap`) and 12.1.5 (`colr`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import NamedTuple

from runtime.image.avif.boxes import Box, Boxes
from runtime.image.colour.cicp import Cicp

Crop = tuple[int, int, int, int]  # left, upper, right, lower, px


class Clap(NamedTuple):
    """The width and height of a clean aperture, and the distance of its centre from the picture's, px; each N / D."""

    width: tuple[int, int]
    height: tuple[int, int]
    across: tuple[int, int]
    down: tuple[int, int]

    def crop(self, width: int, height: int) -> Crop | None:
        """What it leaves of a picture; None for all of it, and for an aperture that is no part of the picture.

        Edges between two pixels are rounded.
        """
        if not all(below for _, below in self):
            return None
        across = _edges(width, Fraction(*self.width), Fraction(*self.across))
        down = _edges(height, Fraction(*self.height), Fraction(*self.down))
        if across is None or down is None or (across, down) == ((0, width), (0, height)):
            return None
        return across[0], down[0], across[1], down[1]


class Shown(NamedTuple):
    """What the properties of a picture say about it."""

    cicp: Cicp | None = None
    clap: Clap | None = None


def properties_of(file: Boxes, meta: Mapping[bytes, Box]) -> Iterator[Box]:
    """The properties of the primary item; `meta` has the boxes of the `meta` box."""
    if b"pitm" not in meta or b"iprp" not in meta:
        return
    pitm = file.inside(meta[b"pitm"])
    primary = pitm.number(4 if pitm.number(4) >> 24 else 2)
    container = file.only(meta[b"iprp"])
    if b"ipco" not in container or b"ipma" not in container:
        return
    properties = list(file.boxes(container[b"ipco"].start, container[b"ipco"].end))
    for index in _associated(file, container[b"ipma"], primary):
        if 0 < index <= len(properties):
            yield properties[index - 1]


def read_shown(file: Boxes, properties: Iterable[Box]) -> Shown:
    """The first `nclx` colour and the first crop; an ICC profile is Pillow's to read."""
    cicp = clap = None
    for box in properties:
        if box.kind == b"colr" and cicp is None and bytes(file.data[box.start : box.start + 4]) == b"nclx":
            fields = file.inside(box)
            fields.number(4)
            cicp = Cicp(fields.number(2), fields.number(2))  # narrow range is undone with the matrix, in the decoder
        elif box.kind == b"clap" and clap is None:
            fields = file.inside(box)
            signed = (False, False, True, True)
            clap = Clap(*((_number(fields.number(4), signed=each), fields.number(4)) for each in signed))
    return Shown(cicp, clap)


def _associated(file: Boxes, ipma: Box, item: int) -> Iterator[int]:
    """The properties of an item, by their positions in `ipco`, counted from 1."""
    fields = file.inside(ipma)
    version, wide = fields.bits(8), fields.bits(24) & 1
    for _ in range(fields.number(4)):
        owner = fields.number(4 if version else 2)
        for _ in range(fields.number(1)):
            fields.bits(1)  # essential
            index = fields.bits(15 if wide else 7)
            if owner == item:
                yield index


def _edges(side: int, length: Fraction, offset: Fraction) -> tuple[int, int] | None:
    first = round((side - length) / 2 + offset)
    last = first + round(length)
    return (first, last) if 0 <= first < last <= side else None


def _number(value: int, *, signed: bool) -> int:
    return value - (1 << 32) if signed and value >> 31 else value
