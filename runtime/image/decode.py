"""Decode a photo to the model's input size."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile

from runtime.bundle.input import ImageSpec
from runtime.errors import Refusal
from runtime.host.memory import return_large_buffers
from runtime.host.photo_limits import DEFAULT_LIMITS, PhotoLimits
from runtime.image.decoding_memory import decoding_memory
from runtime.image.errors import UnsupportedImage, refusal_of
from runtime.image.flatten import shrink
from runtime.image.formats import FORMATS
from runtime.image.header import PhotoHeader
from runtime.image.inspect import inspect
from runtime.image.jpeg.decoding import load_jpeg
from runtime.image.jpeg.markers import has_short_header, scale_while_decoding
from runtime.image.jpeg.plain import MAX_BYTES, MAX_PIXELS, decode_plain
from runtime.image.limits import check_cost, check_limits
from runtime.image.orientation import SWAPS_SIDES, UPRIGHT, orientation_of
from runtime.image.samples import sample

# A photo that takes no more than this to decode never waits for memory: it is in what is spare.
BRIEF_BYTES, BRIEF_PIXELS = MAX_BYTES, MAX_PIXELS


class DecodedPhoto(NamedTuple):
    """The pixels of a photo (height, width, 3), and whether it is damaged: some of them were made up."""

    pixels: NDArray[np.uint8]
    damaged: bool


def decode(data: bytes, spec: ImageSpec, *, limits: PhotoLimits = DEFAULT_LIMITS) -> NDArray[np.uint8]:
    """The pixels of a photo, damaged or not; returns and raises as `decode_photo` does."""
    return decode_photo(data, spec, limits=limits).pixels


def decode_photo(data: bytes, spec: ImageSpec, *, limits: PhotoLimits = DEFAULT_LIMITS) -> DecodedPhoto:
    """Decode one encoded photo to the model's input size.

    Returns (height, width, 3), RGB, 0..255, upright (EXIF orientation applied), in sRGB, alpha flattened on white; of
    an animation the first frame. A JPEG of which pieces are missing is damaged, one without its end marker is not
    (`runtime/image/jpeg/decoding.py`).

    Raises UnsupportedImage for a format outside the allow-list, ImageTooLarge before
    decoding if the header promises more pixels, frames or decoding memory than `limits` allow, CorruptImage for
    anything that does not decode to the end. Waits until the photos that are being decoded leave enough memory.
    """
    pixels = decode_plain(data, spec, limits)
    if pixels is not None:
        return DecodedPhoto(pixels, damaged=False)
    return _decode(check_limits(inspect(data), limits), spec, limits)


def decode_brief(data: bytes, spec: ImageSpec, *, limits: PhotoLimits = DEFAULT_LIMITS) -> DecodedPhoto | None:
    """As `decode_photo`, for a photo that is known to take a few milliseconds at most; None for any other.

    It is a JPEG with a short header, one scan, few bytes and few pixels, and not CMYK: a text in a PNG, fifty scans or
    an ICC profile for print can take a hundred times as long as the photo itself.
    """
    pixels = decode_plain(data, spec, limits)
    if pixels is not None:
        return DecodedPhoto(pixels, damaged=False)
    if len(data) > BRIEF_BYTES or not has_short_header(data):
        return None
    header = check_limits(inspect(data), limits)
    brief = header.scans == 1 and header.pixels <= BRIEF_PIXELS and header.image.mode != "CMYK"
    return _decode(header, spec, None) if brief else None


def warm_up() -> None:
    """Load the decoder of every format, which Pillow would do, slowly, with the first photo; keep no giant's memory."""
    return_large_buffers()
    for format_ in FORMATS:
        decode(sample(format_), ImageSpec(height=8, width=8))


def turn_of(header: PhotoHeader, spec: ImageSpec, limits: PhotoLimits) -> AbstractContextManager[None]:
    """Hold the memory that decoding a photo takes, once others leave it; raises ImageTooLarge for too much."""
    cost = check_cost(header, spec, limits)
    return nullcontext() if cost <= limits.small_bytes else decoding_memory.take(cost, limits.decoding_bytes)


def _decode(header: PhotoHeader, spec: ImageSpec, limits: PhotoLimits | None) -> DecodedPhoto:
    """Decode in the photo's turn; without `limits` at once, as is right for a small photo on the event loop."""
    with turn_of(header, spec, limits) if limits else nullcontext():
        try:
            image, damaged = _to_input(header, spec)
            pixels = np.frombuffer(image.tobytes(), np.uint8).reshape(spec.height, spec.width, 3)
            return DecodedPhoto(pixels, damaged)
        except (Refusal, UnsupportedImage):  # of a setting, not of this photo; of a kind that was found too late
            raise
        except Exception as error:  # whatever a decoder raises over hostile bytes, it means: this photo is broken
            raise refusal_of(error) from error.with_traceback(None)  # whose frames would keep the photo
        finally:
            del header  # and with it the decoded photo, before the next giant begins: callers keep no reference


def _to_input(header: PhotoHeader, spec: ImageSpec) -> tuple[Image.Image, bool]:
    image, filled, damaged = header.image, None, False
    bits = _png_bit_depth(image) if header.format == "PNG" else 8
    if header.format == "JPEG":
        filled = None if header.lossless else scale_while_decoding(image, max(spec.width, spec.height))
        damaged = load_jpeg(header)
    image.load()
    if header.crop:
        image = image.crop(header.crop)
    orientation = orientation_of(image)
    size = (spec.height, spec.width) if orientation in SWAPS_SIDES else (spec.width, spec.height)
    pixels = shrink(image, size, bits=bits, filled=filled, colour=header.colour)
    return pixels.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else pixels, damaged


def _png_bit_depth(image: Image.Image) -> int:
    """The bits of a sample, which only Pillow's name for the layout tells (`RGB;16B`, `L;2`)."""
    tiles = image.tile if isinstance(image, ImageFile) else []
    layout = str(tiles[0].args) if tiles else ""
    _, _, depth = layout.partition(";")
    return int(depth.strip("B")) if depth.strip("B").isdigit() else 8
