"""From encoded photo to model input. Training, calibration, serving and benchmarks all decode here, so they agree."""

from __future__ import annotations

import io
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP")
ACCEPTED = "JPEG, PNG or WebP"
DEFAULT_MAX_PIXELS = 64_000_000

# The header is checked against `max_pixels` below, before any decoding; Pillow's own check would only warn.
Image.MAX_IMAGE_PIXELS = None

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPS_SIDES = frozenset({5, 6, 7, 8})


class ImageSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The model's input, as the manifest states it.

    `resize` is how a photo of any shape becomes height x width: `squash` scales each side by itself, so that no part
    of the photo is lost and the class-activation map covers all of it.
    """

    height: int
    width: int
    resize: Literal["squash"] = "squash"
    colour: Literal["RGB"] = "RGB"


class ImageError(ValueError):
    """A photo that cannot be classified; the message is one sentence for whoever sent it."""


class UnsupportedImage(ImageError):
    """The bytes are of no accepted format."""


class ImageTooLarge(ImageError):
    """The header promises more pixels than the limit."""


class CorruptImage(ImageError):
    """The bytes begin as an accepted format and do not decode to the end."""


def decode(data: bytes, spec: ImageSpec, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode one encoded photo to the model's input size.

    Returns (height, width, 3), RGB, 0..255, upright (EXIF orientation applied), alpha flattened on white.
    Raises UnsupportedImage for a format outside the allow-list, ImageTooLarge before decoding when the header
    promises more than `max_pixels`, CorruptImage for anything that does not decode to the end.
    """
    image = open_image(data, max_pixels=max_pixels)
    try:
        # The JPEG decoder can leave out detail that the resize would throw away: the next size up is enough.
        longest = max(spec.width, spec.height)
        image.draft("RGB", (longest, longest))
        # Before EXIF: Pillow decodes a PNG to find it, and a second try after a failed one yields half a photo.
        image.load()
        orientation = _orientation(image)
        size = (spec.width, spec.height)
        if orientation in _SWAPS_SIDES:
            size = (spec.height, spec.width)
        pixels = _to_rgb(image).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
        if orientation in _UPRIGHT:
            pixels = pixels.transpose(_UPRIGHT[orientation])
        return np.asarray(pixels)
    except Exception as error:  # whatever a decoder raises over hostile bytes, it means the same: this photo is broken
        raise CorruptImage(f"the photo is broken ({_reason(error)}); send it again or export it anew") from error


def open_image(data: bytes, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Image.Image:
    """Read the header only; the same refusals as `decode`, before a pixel is decoded."""
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Exception as error:
        if _begins_as_accepted(data):
            raise CorruptImage(f"the photo is broken ({_reason(error)}); send it again or export it anew") from error
        what = "the file is empty" if not data else "the file is not a photo in an accepted format"
        raise UnsupportedImage(f"{what}; send {ACCEPTED}") from error
    width, height = image.size
    if width * height > max_pixels:
        raise ImageTooLarge(
            f"the photo has {width} x {height} pixels, more than the {max_pixels / 1e6:.0f} megapixels accepted; "
            "scale it down first"
        )
    return image


def preview(data: bytes, longest: int, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode a photo in its own proportions, at most `longest` px a side; returns and raises as `decode` does."""
    image = open_image(data, max_pixels=max_pixels)
    width, height = image.size
    if _orientation(image) in _SWAPS_SIDES:
        width, height = height, width
    scale = min(1.0, longest / max(width, height))
    spec = ImageSpec(height=max(1, round(height * scale)), width=max(1, round(width * scale)))
    return decode(data, spec, max_pixels=max_pixels)


def warm_up() -> None:
    """Load the decoder of every format, which Pillow would do, slowly, with the first photo."""
    for format_ in FORMATS:
        stream = io.BytesIO()
        Image.new("RGB", (8, 8)).save(stream, format_)
        decode(stream.getvalue(), ImageSpec(height=8, width=8))


def _begins_as_accepted(data: bytes) -> bool:
    return data.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # an unreadable EXIF block says nothing about the pixels, which are judged by themselves
        return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I;16"):
        # Pillow clips 16-bit grey at 255 when it converts; a photo means its upper byte.
        grey = (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0][:80] if str(error) else type(error).__name__
