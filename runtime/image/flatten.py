"""Resize to the model's input as opaque RGB: alpha flattened on white, without a second copy in full size."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL import _imaging as core

from runtime.image.colour.conversion import GREY_MODES, to_srgb
from runtime.image.colour.spaces import ColourSpace
from runtime.native.library import Library, address_of, library
from runtime.native.resize import resize, resize_pixels

# Box-reduce by whole factors first, while twice the wanted size is left: the bilinear filter has little to do then.
REDUCING_GAP = 2.0
STRIP_PIXELS = 1 << 18

# Modes whose channels can be averaged as they are; any other is converted to RGB first.
_AVERAGED = frozenset({"RGB", "L", "CMYK"})


def shrink(
    image: Image.Image,
    size: tuple[int, int],
    *,
    bits: int = 8,
    filled: tuple[float, float] | None = None,
    colour: ColourSpace | None = None,
) -> Image.Image:
    """An opaque sRGB image of `size` (width, height); transparency is flattened on white.

    `bits` is the depth of the file's samples, in which a PNG states its transparent colour. `filled` is the width and
    height in px that the photo fills of an `image` that was scaled while it was decoded: its last column and row may
    stand for less than a whole one. Only RGB, L and CMYK are scaled so. `colour` counts instead of an ICC profile.
    """
    if image.mode in _AVERAGED and "transparency" not in image.info:
        small = _resize(image, size, filled or image.size)
    else:
        small = _shrink_by_strips(image, size, bits)
    return to_srgb(small, colour or image.info.get("icc_profile"), grey=image.mode in GREY_MODES)


def native_resize(size: tuple[int, int], filled: tuple[float, float]) -> Library | None:
    """What resizes an RGB image of which `filled` counts; None where something is reduced first, or Pillow does it.

    A copy of such an image is small.
    """
    most = 2 * REDUCING_GAP
    return library() if filled[0] < most * size[0] and filled[1] < most * size[1] else None


def shrink_pixels(
    pixels: NDArray[np.uint8], size: tuple[int, int], native: Library, filled: tuple[float, float]
) -> bytes:
    """`shrink` for opaque sRGB `pixels` [height, width, 4], whose fourth byte means nothing; returns bytes of RGB."""
    out = resize_pixels(address_of(pixels), (pixels.shape[1], pixels.shape[0]), size, native, filled)
    encoder = core.raw_encoder("RGBX", "RGB", 0, 1)
    encoder.setimage(core.map_buffer(out, size, "raw", 0, ("RGBX", 0, 1)), (0, 0, *size))
    packed: bytes = encoder.encode(3 * size[0] * size[1])[2]
    return packed


def _resize(image: Image.Image, size: tuple[int, int], filled: tuple[float, float]) -> Image.Image:
    native = native_resize(size, filled) if image.mode == "RGB" else None
    if native:
        return resize(image, size, native, filled)
    return image.resize(size, Image.Resampling.BILINEAR, box=(0, 0, *filled), reducing_gap=REDUCING_GAP)


def _shrink_by_strips(image: Image.Image, size: tuple[int, int], bits: int) -> Image.Image:
    """Flatten and reduce strip by strip: never more than one strip is held in full size.

    Pixels are flattened before they are averaged, so that no hidden colour bleeds into the edges.
    """
    across, down = (max(1, int(side / wanted / REDUCING_GAP)) for side, wanted in zip(image.size, size, strict=True))
    rows = down * max(1, STRIP_PIXELS // (image.width * down))
    reduced = Image.new("RGB", (math.ceil(image.width / across), math.ceil(image.height / down)))
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        reduced.paste(_on_white(strip, bits).reduce((across, down)), (0, top // down))
    # The last column and row of `reduced` may stand for less than a whole factor.
    box = (0, 0, image.width / across, image.height / down)
    return reduced.resize(size, Image.Resampling.BILINEAR, box=box)


def _on_white(image: Image.Image, bits: int) -> Image.Image:
    if image.mode.startswith("I;16"):
        return _grey16_on_white(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    transparent = image.info.get("transparency")
    if image.mode in {"L", "RGB"} and transparent is not None:
        image.info["transparency"] = _in_8_bits(transparent, bits)
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")


def _grey16_on_white(image: Image.Image) -> Image.Image:
    """Keep the upper byte of 16-bit grey; Pillow would clip it at 255."""
    samples = np.asarray(image).astype(np.uint16)
    grey = (samples >> 8).astype(np.uint8)
    transparent = image.info.get("transparency")
    if transparent is not None:
        grey[samples == transparent] = 255
    return Image.fromarray(grey).convert("RGB")


def _in_8_bits(transparent: int | tuple[int, ...], bits: int) -> int | tuple[int, ...]:
    """The transparent colour in the samples that Pillow decodes to: 16 bits lose the lower byte, 2 and 4 are spread."""
    if isinstance(transparent, tuple):
        return tuple(sample >> (bits - 8) for sample in transparent)
    return transparent * 255 // int(2**bits - 1)
