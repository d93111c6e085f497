"""Well-known formats that are not decoded here, by magic number: a refusal that names them can be acted on."""

from __future__ import annotations

from collections.abc import Mapping

_BEGINNINGS: Mapping[bytes, str] = {
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"%PDF-": "PDF",
    b"8BPS": "Photoshop file",
    b"\0\0\1\0": "Windows icon",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"PK\3\4": "ZIP archive",
    b"\x1aE\xdf\xa3": "video",
}
_BRANDS: Mapping[bytes, str] = {b"crx ": "Canon raw file", b"mif1": "HEIF", b"msf1": "HEIF", b"jxl ": "JPEG XL"}
_LOOKED_AT = 256  # bytes of a text, for the root of an SVG


def foreign_format(data: bytes) -> str | None:
    """What the bytes are, if that is well known and not accepted; None for anything else."""
    for beginning, name in _BEGINNINGS.items():
        if data.startswith(beginning):
            return name
    if data.startswith(b"BM") and data[6:10] == bytes(4):  # reserved, which a text has not
        return "BMP"
    if data[:4] == b"RIFF" and data[8:12] == b"AVI ":
        return "video"
    if data[4:8] == b"ftyp":  # ISO base media: what is no photo is a film
        return _BRANDS.get(data[8:12], "video")
    return "SVG" if b"<svg" in data[:_LOOKED_AT].lower() else None
