"""Small plain JPEGs: decoded the quick way as they are the usual way, whatever is done to them."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from runtime.host.photo_limits import DEFAULT_LIMITS, PhotoLimits
from runtime.image import ImageSpec, decode_brief, decode_photo
from runtime.image.jpeg.plain import decode_plain
from runtime.native.library import library
from tests.support.photos import draw_photo, encode
from tests.support.suite.repeats import repeats

SPEC = ImageSpec(height=96, width=96)
SPECS = (SPEC, ImageSpec(height=64, width=80), ImageSpec(height=224, width=224))
SIZE = (275, 183)
END = b"\xff\xd9"
MODULE = sys.modules["runtime.image.decode"]

native = pytest.mark.skipif(library() is None, reason="the quick way resizes with the native kernel")


def drawn(size: tuple[int, int] = SIZE, mode: str = "RGB", **options: object) -> bytes:
    return encode(draw_photo("dandelion", 0, size).convert(mode), **options)


def usual_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, "decode_plain", lambda *_: None)


def outcome(decoder: Callable[..., Any], data: bytes, spec: ImageSpec) -> object:
    try:
        decoded = decoder(data, spec)
    except Exception as error:
        return type(error), str(error)
    return decoded and (decoded.pixels.shape, decoded.pixels.tobytes(), decoded.damaged)


@native
@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("size", [SIZE, (1, 1), (97, 33), (192, 192), (383, 385), (511, 513), (512, 512)])
@pytest.mark.parametrize("options", [{}, {"quality": 30, "subsampling": 1}, {"optimize": True, "subsampling": 0},
                                     {"comment": b"of a meadow"}, {"dpi": (300, 300)}])  # fmt: skip
def test_it_is_decoded_to_the_same_pixels(
    spec: ImageSpec, size: tuple[int, int], options: Mapping[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = drawn(size, **options)
    quick, decoded, brief = decode_plain(data, spec, DEFAULT_LIMITS), decode_photo(data, spec), decode_brief(data, spec)
    usual_way(monkeypatch)
    expected = decode_photo(data, spec)
    assert not expected.damaged
    for each in (decoded, brief or decoded):
        assert not each.damaged
        np.testing.assert_array_equal(each.pixels, expected.pixels)
    if quick is not None:
        np.testing.assert_array_equal(quick, expected.pixels)


@native
def test_it_is_what_a_plain_photo_is_decoded_by() -> None:
    for spec in SPECS:
        assert decode_plain(drawn(), spec, DEFAULT_LIMITS) is not None


def _turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return drawn(exif=exif)


@pytest.mark.parametrize(
    "data",
    [
        _turned(),
        drawn(icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()),
        drawn(mode="L"),
        drawn(mode="CMYK"),
        drawn(progressive=True),
        drawn(restart_marker_rows=1),
        drawn(size=(600, 500)),
        drawn()[:-2],
        drawn()[: len(drawn()) // 2] + END,
        drawn() + b"behind",
        drawn(size=(8000, 2), subsampling=0),
        b"\xff\xd8\xff",
        b"no photo",
        b"",
    ],
    ids=["EXIF", "profile", "grey", "CMYK", "progressive", "restarts", "large", "no end", "half", "longer",
         "far from the input's size", "no header", "no photo", "empty"],
)  # fmt: skip
def test_any_other_is_left_to_the_usual_way(data: bytes) -> None:
    assert decode_plain(data, SPEC, DEFAULT_LIMITS) is None


@pytest.mark.parametrize(
    "limits",
    [PhotoLimits(max_scaled_pixels=50_000), PhotoLimits(decoding_bytes=300_000), PhotoLimits(small_bytes=300_000)],
)
def test_so_is_one_that_the_limits_may_not_allow(limits: PhotoLimits) -> None:
    assert decode_plain(drawn(), SPEC, limits) is None


CHANGES = repeats(150)


@native
@pytest.mark.parametrize("seed", range(8))
def test_a_changed_photo_is_decoded_and_refused_as_the_usual_way_does(seed: int, monkeypatch: pytest.MonkeyPatch):
    """Changed are single bytes, mostly of the header; pieces are cut out, put in, and the end is lost."""
    chance, taken = random.Random(seed), 0  # noqa: S311 - of test cases
    for number in range(CHANGES):
        data = changed(drawn(size=(120, 90), subsampling=number % 3), chance)
        for decoder in (decode_photo, decode_brief):
            with monkeypatch.context() as usual:
                quick = outcome(decoder, data, SPEC)
                usual_way(usual)
                assert outcome(decoder, data, SPEC) == quick
        taken += decode_plain(data, SPEC, DEFAULT_LIMITS) is not None
    assert 0 < taken < CHANGES


def changed(photo: bytes, chance: random.Random) -> bytes:
    data = bytearray(photo)
    header = photo.index(b"\xff\xda") + 14
    for _ in range(chance.choice((1, 1, 2, 4))):
        kind, at = chance.random(), chance.randrange(len(data))
        if kind < 0.6:
            data[chance.randrange(min(header, len(data)))] = chance.choice((0, 255, chance.randrange(256)))
        elif kind < 0.8:
            data[at] = chance.choice((0, 255, 0xD0, 0xD9, chance.randrange(256)))
        elif kind < 0.9:
            del data[at : at + chance.randrange(1, 40)]
        elif kind < 0.95:
            data[at:at] = chance.randbytes(chance.randrange(1, 10))
        else:
            del data[max(2, at) :]
    return bytes(data)
