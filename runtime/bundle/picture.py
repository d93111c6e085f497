"""Checks the picture of a product: small, whole, and without anything that could run or load something.

A bundle may come from somebody else. Browsers run no script of a picture in `<img>`, and the answer that carries it
forbids the rest (`runtime/api/routes/display.py`); this refuses, and names, what should not be there at all.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import PurePath
from typing import NamedTuple
from xml.parsers import expat

MAX_PICTURE_BYTES = 2**17
MAX_SIDE = 1024  # px of a PNG
MAX_ELEMENTS = 5000  # of an SVG: more is slow to draw, and no small picture
MAX_DEPTH = 50

_PNG = b"\x89PNG\r\n\x1a\n"
_ROOT = "http://www.w3.org/2000/svg svg"
# `use` could repeat itself without end.
_FORBIDDEN = frozenset(
    ("a", "audio", "embed", "foreignobject", "handler", "iframe", "image", "listener", "object", "script", "set", "use",
     "video")
)  # fmt: skip
_LOADS = re.compile(r"""@import|expression\s*\(|url\(\s*+['"]?+\s*+(?!\#)|javascript:""", re.IGNORECASE)


class BadPicture(ValueError):
    """A picture that pages must not show; the message says why."""


class _Chunk(NamedTuple):
    kind: bytes
    content: bytes


def check_picture(data: bytes, name: str) -> None:
    """Check a picture by the ending of its `name`, `.svg` or `.png`. Raises BadPicture."""
    if len(data) > MAX_PICTURE_BYTES:
        raise BadPicture(f"is larger than {MAX_PICTURE_BYTES >> 10} KiB")
    kind = PurePath(name).suffix.lower()
    if kind == ".svg":
        _SvgCheck().check(data)
    elif kind == ".png":
        _check_png(data)
    else:
        raise BadPicture("is neither an .svg nor a .png")


def _check_png(data: bytes) -> None:
    """The chunks must be whole and the sides small; the pixels are the browser's to decode."""
    if not data.startswith(_PNG):
        raise BadPicture("is no PNG")
    chunks = list(_chunks(data))
    kinds = [chunk.kind for chunk in chunks]
    if kinds[:1] != [b"IHDR"] or kinds[-1] != b"IEND" or b"IDAT" not in kinds or len(chunks[0].content) != 13:
        raise BadPicture("is a broken PNG")
    if not all(0 < side <= MAX_SIDE for side in struct.unpack(">II", chunks[0].content[:8])):
        raise BadPicture(f"is larger than {MAX_SIDE} x {MAX_SIDE} px")


def _chunks(data: bytes) -> Iterator[_Chunk]:
    at = len(_PNG)
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        body, checksum = data[at + 4 : at + 8 + length], data[at + 8 + length : at + 12 + length]
        if len(checksum) != 4 or zlib.crc32(body) != int.from_bytes(checksum, "big"):
            raise BadPicture("is a broken PNG")
        yield _Chunk(body[:4], body[4:])
        at += 12 + length


class _SvgCheck:
    """One pass over an SVG, which must be UTF-8 without a document type (whose entities could grow without end)."""

    def __init__(self) -> None:
        self._elements = 0
        self._open: list[str] = []
        self._style: list[str] = []

    def check(self, data: bytes) -> None:
        """Raises BadPicture."""
        parser = expat.ParserCreate("utf-8", " ")
        parser.StartDoctypeDeclHandler = self._doctype
        parser.ProcessingInstructionHandler = self._instruction
        parser.StartElementHandler = self._begin
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        try:
            parser.Parse(data.decode(), True)
        except UnicodeDecodeError as error:
            raise BadPicture("is no UTF-8") from error
        except expat.ExpatError as error:
            raise BadPicture(f"is no well-formed SVG ({error})") from error
        _check_style("".join(self._style))

    def _doctype(self, *_: object) -> None:
        raise BadPicture("has a document type (<!DOCTYPE …>); remove it")

    def _instruction(self, target: str, _: str) -> None:
        raise BadPicture(f"has a processing instruction (<?{target} …>); remove it")

    def _begin(self, name: str, attributes: dict[str, str]) -> None:
        if not self._open and name != _ROOT:
            raise BadPicture("is no SVG")
        local = name.rpartition(" ")[2]
        self._open.append(local.lower())
        self._elements += 1
        if self._elements > MAX_ELEMENTS or len(self._open) > MAX_DEPTH:
            raise BadPicture(f"has more than {MAX_ELEMENTS} elements, or {MAX_DEPTH} within each other")
        if local.lower() in _FORBIDDEN or local.lower().startswith("animate"):
            raise BadPicture(f"has a <{local}>, which a picture does not need; export it as plain paths")
        for attribute, value in attributes.items():
            _check_attribute(attribute.rpartition(" ")[2], value)

    def _end(self, _: str) -> None:
        self._open.pop()

    def _text(self, text: str) -> None:
        if self._open[-1] == "style":
            self._style.append(text)


def _check_attribute(name: str, value: str) -> None:
    if name.lower().startswith("on"):
        raise BadPicture(f"has a script (`{name}`); remove it")
    if name.lower() in {"href", "src"} and not value.strip().startswith("#"):
        raise BadPicture(f"links out of itself (`{name}`); embed nothing, and export it as plain paths")
    _check_style(value)


def _check_style(text: str) -> None:
    if _LOADS.search(text) or ("\\" in text):
        raise BadPicture("has a style that loads something or is escaped; export it as plain paths")
