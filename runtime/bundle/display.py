"""What pages show of a product: its title, its headline and a small picture. All of it is optional."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import msgspec

from runtime.names import Line

MAX_TITLE, MAX_HEADLINE = 40, 80  # characters
# By the name of the file in the bundle, its media type.
PICTURES = {"picture.svg": "image/svg+xml", "picture.png": "image/png"}


class Display(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is not given follows from the name and the labels of the model. `picture` is a file of the bundle."""

    title: Annotated[Line, msgspec.Meta(max_length=MAX_TITLE)] | None = None
    headline: Annotated[Line, msgspec.Meta(max_length=MAX_HEADLINE)] | None = None
    picture: Literal["picture.svg", "picture.png"] | None = None


class Picture(NamedTuple):
    """A checked picture (`runtime/bundle/picture.py`)."""

    media_type: str
    data: bytes
