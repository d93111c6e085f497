from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from runtime.image import ImageSpec, decode
from runtime.image.colour.conversion import MAX_PROFILE_BYTES
from tests.support.photos import draw_photo, encode

SPEC = ImageSpec(height=64, width=64)
# Red, green and blue of each space as XYZ under D50, from its own specification.
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.7141))
DISPLAY_P3 = ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407))
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))


def profile(primaries: tuple[tuple[float, float, float], ...], gamma: float) -> bytes:
    """A minimal matrix profile: nine tags, every curve one gamma."""

    def fixed(*numbers: float) -> bytes:
        return struct.pack(f">{len(numbers)}i", *(round(number * 65536) for number in numbers))

    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    tags = {b"wtpt": b"XYZ " + bytes(4) + fixed(0.9642, 1.0, 0.8249)}
    for letter, primary in zip(b"rgb", primaries, strict=True):
        tags[bytes([letter]) + b"XYZ"] = b"XYZ " + bytes(4) + fixed(*primary)
        tags[bytes([letter]) + b"TRC"] = curve
    table, body, offset = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", offset + len(body), len(content))
        body += content
    header = struct.pack(">I4sI4s4s4s", offset + len(body), b"none", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + fixed(0.9642, 1.0, 0.8249)
    return header.ljust(128, b"\0") + table + body


def one_colour(colour: tuple[int, int, int], **options: object) -> list[int]:
    data = encode(Image.new("RGB", (32, 32), colour), "PNG", **options)
    return decode(data, SPEC)[0, 0].tolist()


def by_hand(primaries: tuple[tuple[float, float, float], ...], gamma: float, colour: tuple[int, int, int]) -> list[int]:
    """What the colour is in sRGB, worked out without a colour management system."""
    xyz = np.array(primaries).T @ (np.array(colour) / 255) ** gamma
    linear = np.clip(np.linalg.inv(np.array(SRGB).T) @ xyz, 0, 1)
    curve = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(curve * 255).astype(int).tolist()


@pytest.mark.parametrize("primaries", [DISPLAY_P3, ADOBE_RGB])
@pytest.mark.parametrize("colour", [(180, 90, 60), (120, 200, 120), (128, 128, 128), (240, 240, 10), (0, 0, 0)])
def test_a_wide_gamut_is_converted_to_srgb(
    primaries: tuple[tuple[float, float, float], ...], colour: tuple[int, int, int]
) -> None:
    converted = one_colour(colour, icc_profile=profile(primaries, 2.2))
    assert np.abs(np.subtract(converted, by_hand(primaries, 2.2, colour))).max() <= 3


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_a_profile_counts_in_every_format(format: str) -> None:
    image = Image.new("RGB", (32, 32), (120, 200, 120))
    plain = decode(encode(image, format), SPEC).astype(np.int16)
    converted = decode(encode(image, format, icc_profile=profile(ADOBE_RGB, 2.2)), SPEC)
    assert np.abs(converted - plain).max() > 50


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_an_srgb_profile_changes_no_pixel(format: str) -> None:
    image = draw_photo("dandelion", 2, (300, 200))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert (decode(encode(image, format, icc_profile=srgb), SPEC) == decode(encode(image, format), SPEC)).all()


@pytest.mark.parametrize(
    "broken",
    [
        b"no profile at all",
        profile(ADOBE_RGB, 2.2)[:200],
        profile(ADOBE_RGB, 2.2).replace(b"RGB ", b"GRAY"),
        profile(ADOBE_RGB, 2.2).replace(b"RGB ", b"CMYK"),
        profile(ADOBE_RGB, 2.2).replace(b"curv", b"what"),
        profile(ADOBE_RGB, 2.2).ljust(MAX_PROFILE_BYTES + 1, b"\0"),
    ],
)
def test_a_profile_that_cannot_be_used_does_not_spoil_the_photo(broken: bytes) -> None:
    image = draw_photo("dandelion", 2, (300, 200))
    assert (decode(encode(image, "JPEG", icc_profile=broken), SPEC) == decode(encode(image, "JPEG"), SPEC)).all()


def test_damaged_profiles_never_raise() -> None:
    generator = np.random.default_rng(1)
    image = Image.new("RGB", (32, 32), (120, 200, 120))
    for _ in range(100):
        damaged = bytearray(profile(ADOBE_RGB, 2.2))
        for at in generator.integers(0, len(damaged), 3):
            damaged[at] = generator.integers(0, 256)
        assert decode(encode(image, "WEBP", icc_profile=bytes(damaged)), SPEC).shape == (64, 64, 3)


def test_a_grey_photo_with_a_profile_stays_grey() -> None:
    data = encode(Image.new("L", (32, 32), 77), "PNG", icc_profile=profile(ADOBE_RGB, 2.2))
    assert (decode(data, SPEC) == 77).all()


@pytest.mark.parametrize(
    ("cmyk", "rgb"),
    [((0, 0, 0, 0), (255, 255, 255)), ((0, 0, 255, 0), (255, 255, 0)), ((255, 0, 0, 128), (0, 127, 127))],
)
def test_a_cmyk_jpeg_of_adobe_is_not_inverted(cmyk: tuple[int, ...], rgb: tuple[int, ...]) -> None:
    data = encode(Image.new("CMYK", (64, 64), cmyk), "JPEG", quality=95)
    assert b"Adobe" in data
    assert np.abs(decode(data, SPEC).astype(np.int16) - rgb).max() <= 4


def test_a_ycck_jpeg_is_read_as_cmyk() -> None:
    """As Photoshop writes it: the ink as YCbCr, black inverted, and transform 2 in Adobe's segment."""
    cyan, magenta, yellow, black = Image.new("CMYK", (64, 64), (0, 0, 255, 0)).split()
    luma = Image.merge("RGB", (cyan, magenta, yellow)).convert("YCbCr").split()
    stored = Image.merge("CMYK", (*luma, Image.eval(black, lambda sample: 255 - sample)))
    data = bytearray(encode(Image.eval(stored, lambda sample: 255 - sample), "JPEG", quality=95))  # Pillow inverts
    data[data.index(b"Adobe") + 11] = 2
    assert np.abs(decode(bytes(data), SPEC).astype(np.int16) - (255, 255, 0)).max() <= 6


def test_a_cmyk_profile_that_cannot_be_used_leaves_the_naive_conversion() -> None:
    ink = Image.new("CMYK", (64, 64), (0, 0, 255, 0))
    broken = profile(ADOBE_RGB, 2.2).replace(b"RGB ", b"CMYK")
    data = encode(ink, "JPEG", icc_profile=broken)
    assert (decode(data, SPEC) == decode(encode(ink, "JPEG"), SPEC)).all()
    assert Image.open(io.BytesIO(data)).info["icc_profile"] == broken
