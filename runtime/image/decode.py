"""One photo, from encoded bytes to the pixels that the model takes."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile

from runtime.commands import Refusal
from runtime.image.errors import CorruptImage
from runtime.image.flatten import shrink
from runtime.image.formats import FORMATS, recognise
from runtime.image.header import DEFAULT_MAX_PIXELS, decoding_bytes, open_image, recognised_format
from runtime.image.orientation import SWAPS_SIDES, UPRIGHT, orientation_of
from runtime.image.samples import sample
from runtime.image.structure import is_one_scan, is_short_header
from runtime.memory import return_large_buffers

# A photo that takes more memory than this to decode waits for its turn: two at once would take twice as much.
GIANT_BYTES = 100_000_000
BRIEF_BYTES, BRIEF_PIXELS = 1 << 16, 1 << 18  # about 3 ms on one core
_one_giant_at_a_time = threading.Lock()


class ImageSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The model's input, as the manifest states it.

    `resize` is how a photo of any shape becomes height x width: `squash` scales each side by itself, so that no part
    of the photo is lost and the class-activation map covers all of it.
    """

    height: int
    width: int
    resize: Literal["squash"] = "squash"
    colour: Literal["RGB"] = "RGB"


def decode(data: bytes, spec: ImageSpec, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode one encoded photo to the model's input size.

    Returns (height, width, 3), RGB, 0..255, upright (EXIF orientation applied), in sRGB, alpha flattened on white; of
    an animation the first frame. Raises UnsupportedImage for a format outside the allow-list, ImageTooLarge before
    decoding when the header promises more pixels or frames than accepted (`open_image` says how many), CorruptImage
    for anything that does not decode to the end.
    """
    return _pixels(open_image(data, max_pixels=max_pixels), spec)


def decode_brief(data: bytes, spec: ImageSpec, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> NDArray[np.uint8] | None:
    """As `decode`, for a photo that is known to take a few milliseconds at most; None for any other.

    It is a JPEG with a short header, one scan, few bytes and few pixels, and not for print: a text in a PNG, fifty
    scans or a table of inks can take a hundred times what the photo itself would.
    """
    if len(data) > BRIEF_BYTES or recognise(data) != "JPEG" or not is_short_header(data):
        return None
    image = open_image(data, max_pixels=max_pixels)
    few = image.width * image.height <= BRIEF_PIXELS and image.mode != "CMYK"
    return _pixels(image, spec) if few and is_one_scan(image, data) else None


def _pixels(image: Image.Image, spec: ImageSpec) -> NDArray[np.uint8]:
    with _turn(image):
        try:
            pixels = _to_input(image, spec).tobytes()
            return np.frombuffer(pixels, np.uint8).reshape(spec.height, spec.width, 3)
        except Refusal:  # of a setting, not of this photo
            raise
        except Exception as error:  # whatever a decoder raises over hostile bytes, it means: this photo is broken
            raise CorruptImage.because(error) from error.with_traceback(None)  # whose frames would keep the photo
        finally:
            del image  # before the next giant begins


def warm_up() -> None:
    """Load the decoder of every format, which Pillow would do, slowly, with the first photo; keep no giant's memory."""
    return_large_buffers()
    for format_ in FORMATS:
        decode(sample(format_), ImageSpec(height=8, width=8))


def _turn(image: Image.Image) -> AbstractContextManager[object]:
    return _one_giant_at_a_time if decoding_bytes(image) > GIANT_BYTES else nullcontext()


def _to_input(image: Image.Image, spec: ImageSpec) -> Image.Image:
    if recognised_format(image) == "JPEG":
        # The JPEG decoder can leave out detail that the resize would throw away: the next size up is enough.
        longest = max(spec.width, spec.height)
        image.draft("RGB", (longest, longest))
    bits = _bits(image)
    image.load()
    orientation = orientation_of(image)
    size = (spec.height, spec.width) if orientation in SWAPS_SIDES else (spec.width, spec.height)
    pixels = shrink(image, size, bits=bits)
    return pixels.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else pixels


def _bits(image: Image.Image) -> int:
    """The depth of a PNG's samples, which only Pillow's name for their layout tells (`RGB;16B`, `L;2`)."""
    tiles = image.tile if isinstance(image, ImageFile) and image.format == "PNG" else []
    layout = str(tiles[0].args) if tiles else ""
    _, _, depth = layout.partition(";")
    return int(depth.strip("B")) if depth.strip("B").isdigit() else 8
