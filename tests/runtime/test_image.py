from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from runtime.image import CorruptImage, ImageSpec, ImageTooLarge, UnsupportedImage, decode
from tests.photos import draw_photo, encode, photo

SPEC = ImageSpec(height=64, width=64)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_each_accepted_format_decodes_to_the_input_size(format: str) -> None:
    pixels = decode(photo(format=format), SPEC)
    assert pixels.shape == (64, 64, 3)
    assert pixels.dtype == np.uint8
    assert pixels[..., 0].max() > 150  # the yellow is still there


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    image = draw_photo("dandelion", 3, (128, 128))
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(image, "PNG", exif=exif)
    image.getexif()[0x0112] = orientation
    upright = ImageOps.exif_transpose(Image.open(__import__("io").BytesIO(data)))
    expected = np.asarray(upright.resize((64, 64), Image.Resampling.BILINEAR), np.int16)
    assert np.abs(decode(data, SPEC).astype(np.int16) - expected).mean() < 2


def test_an_unreadable_exif_block_does_not_spoil_the_photo() -> None:
    data = photo()
    broken = data[:2] + b"\xff\xe1\x00\x10Exif\x00\x00garbage!" + data[2:]
    assert decode(broken, SPEC).shape == (64, 64, 3)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_flattened_on_white(mode: str) -> None:
    image = Image.new(mode, (40, 40), 0)
    assert (decode(encode(image, "PNG"), SPEC) == 255).all()


def test_a_palette_with_a_transparent_colour_is_flattened_on_white() -> None:
    image = Image.new("P", (40, 40), 3)
    image.putpalette([10, 20, 30] * 256)
    assert (decode(encode(image, "PNG", transparency=3), SPEC) == 255).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "I;16"])
def test_other_colour_modes_become_rgb(mode: str) -> None:
    format = "JPEG" if mode == "CMYK" else "PNG"
    if mode == "I;16":
        image = Image.fromarray(np.full((40, 40), 0x8000, np.uint16))
    else:
        image = draw_photo("grass", 0).convert(mode)
    pixels = decode(encode(image, format), SPEC)
    assert pixels.shape == (64, 64, 3)
    if mode == "I;16":
        assert (pixels == 0x80).all()


def test_a_large_jpeg_decodes_to_nearly_the_same_pixels_as_a_full_decode() -> None:
    image = draw_photo("dandelion", 1, (2000, 1500))
    scaled = decode(encode(image, "JPEG", quality=95), SPEC).astype(np.int16)
    full = np.asarray(image.resize((64, 64), Image.Resampling.BILINEAR), np.int16)
    assert np.abs(scaled - full).mean() < 4


def test_a_header_that_promises_too_many_pixels_is_refused_before_decoding() -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    with pytest.raises(
        ImageTooLarge, match="30000 x 30000 pixels, more than the 64 megapixels accepted; scale it down"
    ):
        decode(bomb, SPEC)


def test_the_pixel_limit_can_be_set() -> None:
    with pytest.raises(ImageTooLarge):
        decode(photo(size=(1100, 1000)), SPEC, max_pixels=1_000_000)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9])
def test_a_photo_that_ends_early_is_corrupt(format: str, share: float) -> None:
    data = photo(format=format)
    with pytest.raises(CorruptImage, match="send it again or export it anew"):
        decode(data[: int(len(data) * share)], SPEC)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty; send JPEG, PNG or WebP"),
        (b"This is a letter, not a photo.", "not a photo in an accepted format; send JPEG, PNG or WebP"),
        (encode(Image.new("RGB", (40, 40)), "GIF"), "not a photo in an accepted format"),
        (encode(Image.new("RGB", (40, 40)), "BMP"), "not a photo in an accepted format"),
        (encode(Image.new("RGB", (40, 40)), "TIFF"), "not a photo in an accepted format"),
    ],
)
def test_anything_else_is_unsupported(data: bytes, reason: str) -> None:
    with pytest.raises(UnsupportedImage, match=reason):
        decode(data, SPEC)
