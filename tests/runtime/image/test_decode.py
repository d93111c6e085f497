from __future__ import annotations

import io
import random
import struct

import numpy as np
import pytest
from PIL import Image, ImageOps

from runtime.image import (
    ACCEPTED,
    FORMATS,
    MAX_FRAMES,
    CorruptImage,
    ImageError,
    ImageSpec,
    ImageTooLarge,
    PhotoLimits,
    UnsupportedImage,
    decode,
)
from tests.support.photos import draw_photo, encode, photo, png

SPEC = ImageSpec(height=64, width=64)
LOSSLESS: dict[str, dict[str, object]] = {"WEBP": {"lossless": True, "exact": True}}


@pytest.mark.parametrize("format", FORMATS)
def test_each_accepted_format_decodes_to_the_input_size(format: str) -> None:
    pixels = decode(photo(format=format), SPEC)
    assert pixels.shape == (64, 64, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert pixels[..., 0].max() > 150  # the yellow is still there


@pytest.mark.parametrize("format", ["JPEG", "MPO", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int, format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(draw_photo("dandelion", 3, (320, 240)), format, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    expected = np.asarray(upright.resize((48, 64), Image.Resampling.BILINEAR), np.int16)
    assert np.abs(decode(data, ImageSpec(height=64, width=48)).astype(np.int16) - expected).mean() < 2


def test_an_unreadable_exif_block_does_not_spoil_the_photo() -> None:
    data = photo()
    broken = data[:2] + b"\xff\xe1\x00\x10Exif\x00\x00garbage!" + data[2:]
    assert decode(broken, SPEC).shape == (64, 64, 3)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_flattened_on_white(mode: str) -> None:
    image = Image.new(mode, (40, 40), 0)
    assert (decode(encode(image, "PNG"), SPEC) == 255).all()


def test_hidden_colours_do_not_bleed_into_the_edges() -> None:
    pixels = np.full((640, 640, 4), (255, 0, 255, 0), np.uint8)  # magenta that nobody sees
    pixels[:, 320:] = (0, 128, 0, 255)
    for format in ("PNG", "WEBP"):
        decoded = decode(encode(Image.fromarray(pixels), format, **LOSSLESS.get(format, {})), SPEC)
        assert (decoded[:, :31] == 255).all()
        assert (decoded[..., 1] >= decoded[..., 0]).all()  # never redder than green: no magenta


@pytest.mark.parametrize("size", [(1500, 1100), (1301, 997), (40, 40)])
def test_flattening_in_strips_is_flattening_at_once(size: tuple[int, int]) -> None:
    image = draw_photo("dandelion", 5, size)
    image.putalpha(draw_photo("grass", 5, size).convert("L"))
    flat = Image.alpha_composite(Image.new("RGBA", size, "white"), image).convert("RGB")
    expected = flat.resize((64, 64), Image.Resampling.BILINEAR, reducing_gap=2.0)
    assert np.abs(decode(encode(image, "PNG"), SPEC).astype(np.int16) - np.asarray(expected)).max() <= 1


def test_a_palette_with_a_transparent_colour_is_flattened_on_white() -> None:
    image = Image.new("P", (40, 40), 3)
    image.putpalette([10, 20, 30] * 256)
    assert (decode(encode(image, "PNG", transparency=3), SPEC) == 255).all()


def test_a_grey_or_rgb_photo_with_a_transparent_colour_is_flattened_on_white() -> None:
    assert (decode(encode(Image.new("L", (40, 40), 7), "PNG", transparency=7), SPEC) == 255).all()
    rgb = Image.new("RGB", (40, 40), (10, 20, 30))
    assert (decode(encode(rgb, "PNG", transparency=(10, 20, 30)), SPEC) == 255).all()


@pytest.mark.parametrize(
    ("bits", "colour", "samples", "key", "grey"),
    [
        (1, 0, b"\x80", (1,), 0),  # one row of two pixels, the first of the transparent colour
        (2, 0, b"\x60", (1,), 170),
        (4, 0, b"\x3a", (3,), 170),
        (16, 0, b"\x12\x34\x80\xff", (0x1234,), 0x80),
        (16, 0, b"\x12\x34\x12\x35", (0x1234,), 0x12),
        (16, 2, b"\x01\x02\x03\x04\x05\x06" + b"\x80\xff" * 3, (0x0102, 0x0304, 0x0506), 0x80),
    ],
)
def test_the_transparent_colour_of_a_png_is_met_in_every_depth(
    bits: int, colour: int, samples: bytes, key: tuple[int, ...], grey: int
) -> None:
    transparent = (b"tRNS", struct.pack(f">{len(key)}H", *key))
    data = png((2, 1), bits, colour, b"\0" + samples, transparent)
    pixels = decode(data, ImageSpec(height=1, width=2))
    assert pixels[0].tolist() == [[255] * 3, [grey] * 3]


def test_a_16_bit_rgb_png_keeps_its_upper_bytes() -> None:
    data = png((1, 1), 16, 2, b"\0" + bytes([200, 1, 100, 2, 50, 3]))
    assert decode(data, ImageSpec(height=1, width=1)).tolist() == [[[200, 100, 50]]]


def test_half_transparency_lets_half_of_the_white_through() -> None:
    pixels = decode(encode(Image.new("RGBA", (40, 40), (255, 0, 0, 128)), "WEBP", lossless=True), SPEC)
    assert np.abs(pixels.astype(np.int16) - (255, 127, 127)).max() <= 1


def test_a_cmyk_jpeg_keeps_its_colour() -> None:
    yellow = Image.new("CMYK", (400, 300), (0, 0, 255, 0))
    assert np.abs(decode(encode(yellow, "JPEG"), SPEC).astype(np.int16) - (255, 255, 0)).max() <= 3


def test_of_a_photo_with_several_frames_the_first_counts() -> None:
    first, second = draw_photo("dandelion", 0), draw_photo("grass", 0)
    for format in ("MPO", "PNG", "WEBP", "AVIF"):  # MPO: what many phones write under the name of JPEG
        data = encode(first, format, save_all=True, append_images=[second])
        expected = decode(encode(first, {"MPO": "JPEG"}.get(format, format)), SPEC).astype(np.int16)
        assert np.abs(decode(data, SPEC) - expected).mean() < 5


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1)])
@pytest.mark.parametrize("format", FORMATS)
def test_a_photo_of_any_shape_fills_the_input(size: tuple[int, int], format: str) -> None:
    assert (decode(encode(Image.new("RGB", size, "white"), format), SPEC) > 250).all()


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
    data = encode(draw_photo("dandelion", 1, (4000, 3000)), "JPEG", quality=95)
    full = np.asarray(Image.open(io.BytesIO(data)).resize((64, 64), Image.Resampling.BILINEAR), np.int16)
    assert np.abs(decode(data, SPEC) - full).mean() < 1


@pytest.mark.parametrize("sides", [(769, 769), (900, 900), (769, 641), (225, 300)])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_whose_sides_are_no_multiple_of_the_scale_is_not_shifted(sides: tuple[int, int], mode: str) -> None:
    """The decoder rounds the sides up; without the part that the photo fills, the error is three times as large."""
    large = draw_photo("dandelion", 0).resize(sides, Image.Resampling.BICUBIC)
    data = encode(large.convert(mode), "JPEG", quality=95)
    full = Image.open(io.BytesIO(data)).resize((64, 64), Image.Resampling.BILINEAR).convert("RGB")
    assert np.abs(decode(data, SPEC).astype(np.int16) - np.asarray(full)).mean() < 1.1


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"tIME", b"teSt"])
def test_a_png_is_answered_whose_picture_is_whole_and_whose_text_is_not(kind: bytes) -> None:
    pixels, size = np.asarray(draw_photo("grass", 0)), draw_photo("grass", 0).size
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    texts = [(kind, b"Comment\0a meadow"), (b"tEXt", b"Author\0somebody")]
    data = png(size, 8, 2, rows, *texts)
    broken = data.replace(kind + b"Comment\0a meadow", kind + b"Comment\0A meadow")
    assert broken != data
    np.testing.assert_array_equal(decode(broken, SPEC), decode(png(size, 8, 2, rows), SPEC))
    critical = data.replace(b"IHDR\0\0\0", b"IHDR\0\0\1")
    with pytest.raises(CorruptImage, match="checksum in b'IHDR'"):
        decode(critical, SPEC)


def test_a_header_that_promises_too_many_pixels_is_refused_before_decoding() -> None:
    bomb = png((30_000, 30_000), 8, 2, b"")
    with pytest.raises(
        ImageTooLarge, match="30000 x 30000 pixels, more than the 64 megapixels accepted; scale it down"
    ):
        decode(bomb, SPEC)


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_an_animation_of_too_many_frames_is_refused(format: str) -> None:
    frames = [Image.new("L", (1, 1), 255 * (number % 2)).convert("RGB") for number in range(MAX_FRAMES + 1)]
    data = encode(frames[0], format, save_all=True, append_images=frames[1:])
    with pytest.raises(ImageTooLarge, match="1001 frames, more than the 1000 accepted; send one"):
        decode(data, SPEC)


def test_the_pixel_limit_can_be_set() -> None:
    with pytest.raises(ImageTooLarge):
        decode(photo(size=(1100, 1000)), SPEC, limits=PhotoLimits(1_000_000, 1_000_000))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9])
def test_a_photo_that_ends_early_is_corrupt(format: str, share: float) -> None:
    data = photo(format=format)
    with pytest.raises(CorruptImage, match="send it again or export it anew"):
        decode(data[: int(len(data) * share)], SPEC)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_a_photo_that_ends_anywhere_is_refused_or_whole(format: str) -> None:
    data = photo(format=format, size=(24, 18))
    whole = decode(data, SPEC)
    for length in range(len(data)):
        try:
            assert (decode(data[:length], SPEC) == whole).all(), length
        except ImageError:
            continue


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_a_damaged_photo_is_answered_only_where_a_plain_decoder_would(format: str) -> None:
    data = photo(format=format, size=(24, 18))
    damage = random.Random(1)  # noqa: S311
    for _ in range(200):
        damaged = bytearray(data)
        damaged[damage.randrange(len(data))] ^= damage.randrange(1, 256)
        try:
            decode(bytes(damaged), SPEC, limits=PhotoLimits(10_000, 10_000))
        except ImageError:
            continue
        with Image.open(io.BytesIO(damaged), formats=FORMATS) as plain:
            plain.load()


def test_a_png_with_a_wrong_checksum_is_corrupt() -> None:
    data = bytearray(photo(format="PNG"))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(CorruptImage, match="send it again or export it anew"):
        decode(bytes(data), SPEC)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", f"the file is empty; send {ACCEPTED}"),
        (b"This is a letter, not a photo.", f"not a photo in an accepted format; send {ACCEPTED}"),
        (encode(Image.new("RGB", (40, 40)), "GIF"), f"a GIF, which is not accepted; send {ACCEPTED}"),
        (encode(Image.new("RGB", (40, 40)), "BMP"), "a BMP, which is not accepted"),
        (encode(Image.new("RGB", (40, 40)), "TIFF"), "a TIFF, which is not accepted"),
    ],
)
def test_anything_else_is_unsupported(data: bytes, reason: str) -> None:
    with pytest.raises(UnsupportedImage, match=reason):
        decode(data, SPEC)
