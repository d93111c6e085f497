"""Orientation of a photo: that of EXIF; of an AVIF and a HEIC that of irot and imir alone; never XMP's.

docs/photos.md has the table of formats, with what the text of each says.
"""

from __future__ import annotations

from typing import Literal

from PIL import Image

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SWAPS_SIDES = frozenset({5, 6, 7, 8})

_TAG = 0x0112
_SIZES = {1: 1, 3: 2, 4: 4}  # of its value, by type: BYTE, SHORT (as EXIF has it), LONG
# The keys of `Image.info` that hold EXIF: the format's own, and the hexadecimal text in which PNGs had it before eXIf.
_EXIF, _TEXT = "exif", "Raw profile type exif"


def orientation_of(image: Image.Image) -> int:
    """The orientation of a decoded photo, 1..8; 1 if it has none, or none that can be parsed.

    Call it after decoding: a PNG may tell it behind its picture. Of an AVIF, Pillow writes irot and imir into EXIF's
    place; HEIC it turns itself, and takes EXIF's orientation away.
    """
    if _EXIF not in image.info and _TEXT not in image.info:
        return 1
    try:
        orientation = _in_exif(_exif_of(image))
    except Exception:  # a broken EXIF block says nothing about the pixels
        return 1
    return orientation if orientation in UPRIGHT else 1


def _exif_of(image: Image.Image) -> bytes:
    block = image.info.get(_EXIF)
    return bytes.fromhex("".join(image.info[_TEXT].split("\n")[3:])) if block is None else bytes(block)


def _in_exif(block: bytes) -> int:
    """The orientation in the first directory of a TIFF structure (TIFF 6.0, section 2); 1 without one.

    `Image.getexif` would copy the block, parse all of it, and look into XMP.
    """
    start = block.rfind(b"Exif\0\0", 0, 12) + 6 if block.startswith(b"Exif\0\0") else 0
    order: Literal["little", "big"] = "little" if block[start : start + 2] == b"II" else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(block[start + at : start + at + size], order)

    directory = number(4, 4)
    for entry in range(directory + 2, directory + 2 + 12 * number(directory, 2), 12):
        if number(entry, 2) == _TAG:
            return number(entry + 8, _SIZES[number(entry + 2, 2)])
    return 1
