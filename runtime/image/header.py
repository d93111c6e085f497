"""Photo header: format, size, frames and scans of an encoded photo, before any pixel is decoded."""

from __future__ import annotations

from typing import NamedTuple

from PIL import Image

from runtime.image.avif import Coded, Crop
from runtime.image.colour.spaces import ColourSpace
from runtime.image.jpeg.markers import LOSSLESS

NOTHING_CODED = Coded([], 0)


class PhotoHeader(NamedTuple):
    """What `inspect` finds out about a photo; sizes are in px, as encoded: the EXIF orientation is not applied."""

    format: str  # one of FORMATS
    width: int
    height: int
    frames: int  # of an animation; 1 for a still picture
    scans: int  # of a JPEG, an upper bound (`jpeg.count_scans`); 1 for other formats
    progressive: bool  # JPEG
    first_scan: int  # where its data begin in a JPEG; 0 for other formats
    frame_type: int  # JPEG, of `jpeg.frame_type`; 0 for other formats
    coded: Coded  # the pictures in an AVIF, whose sizes may differ from width x height; empty for other formats
    size_bytes: int  # of the file
    metadata_bytes: int  # what is not the picture: profiles, texts, thumbnails; an upper bound
    image: Image.Image  # opened by Pillow up to the pixels; `decode` goes on from here
    colour: ColourSpace | None = None  # that counts, instead of an ICC profile if there is one (`told_colour`)
    crop: Crop | None = None  # of an AVIF; Pillow applies that of a HEIC

    @property
    def shown(self) -> tuple[int, int]:
        """Width and height of what is shown, before it is turned upright."""
        if self.crop is None:
            return self.width, self.height
        left, upper, right, lower = self.crop
        return right - left, lower - upper

    @property
    def pixels(self) -> int:
        """Of the first frame."""
        return self.width * self.height

    @property
    def lossless(self) -> bool:
        """Whether it is a JPEG without a cosine transform, which cannot be decoded at scale."""
        return self.frame_type == LOSSLESS

    @property
    def scales(self) -> bool:
        """Whether the decoder can scale it down line by line, and so takes little memory: a JPEG in one scan."""
        return self.format == "JPEG" and self.scans == 1 and not self.lossless
