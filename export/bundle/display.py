"""What pages show of the product, as its maker gives it: checked before anything is built."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec

from runtime.bundle.display import MAX_HEADLINE, MAX_TITLE, Display
from runtime.bundle.picture import BadPicture, check_picture
from runtime.errors import Refusal
from runtime.names import Line

_LIMITS = {"--title": MAX_TITLE, "--headline": MAX_HEADLINE}


class DisplayError(Refusal):
    """A title, a headline or a picture that no bundle can have; the message names the option and the remedy."""


class Shown(NamedTuple):
    """What a bundle says of its product: the block of the manifest, None where nothing is given, and the picture."""

    display: Display | None = None
    picture: bytes | None = None

    def write(self, folder: Path) -> None:
        """Write the picture into a bundle's folder."""
        if self.picture is not None and self.display and self.display.picture:
            (folder / self.display.picture).write_bytes(self.picture)


def shown(title: str | None = None, headline: str | None = None, picture: Path | None = None) -> Shown:
    """Check what is given. Raises DisplayError."""
    for option, text in (("--title", title), ("--headline", headline)):
        _check_text(option, text)
    data = _read(picture) if picture else None
    if not (title or headline or picture):
        return Shown()
    name = f"picture{picture.suffix.lower()}" if picture else None
    return Shown(msgspec.convert({"title": title, "headline": headline, "picture": name}, Display), data)


def _check_text(option: str, text: str | None) -> None:
    if text is None:
        return
    try:
        msgspec.convert(text, Line)
    except msgspec.ValidationError as error:
        raise DisplayError(
            f"{option}: {text!r} is empty, or has characters that nobody sees; type plain text"
        ) from error
    if len(text) > _LIMITS[option]:
        raise DisplayError(f"{option}: {text!r} has {len(text)} characters, {_LIMITS[option]} fit; shorten it")


def _read(picture: Path) -> bytes:
    try:
        data = picture.read_bytes()
        check_picture(data, picture.name)
    except OSError as error:
        raise DisplayError(f"--picture: {picture}: {error.strerror}; name an SVG or PNG") from error
    except BadPicture as error:
        raise DisplayError(f"--picture: {picture}: {error}") from error
    return data
