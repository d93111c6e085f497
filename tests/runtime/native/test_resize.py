"""The native resizing is Pillow's, bit for bit: training and serving see the same pixels on every processor."""

from __future__ import annotations

import platform

import numpy as np
import pytest
from PIL import Image

from runtime.image import ImageSpec, decode, flatten
from runtime.native.layout import Instructions
from runtime.native.resize import resize
from tests.runtime.native.models import library_of
from tests.support.photos import photo
from tests.support.suite.repeats import repeats

# Sides of less than four times the input's, once JPEG's own scaling is done: the others are reduced by Pillow first.
NEAR = {(1, 1), (383, 383), (384, 384), (385, 385), (769, 769), (1025, 900)}
BILINEAR = Image.Resampling.BILINEAR


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


# A function each; the other instruction sets share them. ARM64's is emulated, too (test_emulated_resize.py).
ON_X86: tuple[Instructions, ...] = ("sse4", "avx2", "vnni")
RESIZES: tuple[Instructions, ...] = ("reference", *(("neon",) if platform.machine() == "aarch64" else ON_X86))


@pytest.mark.parametrize("instructions", RESIZES)
def test_any_size_becomes_any_other_as_in_pillow(instructions: Instructions) -> None:
    found = library_of(instructions)
    generator = np.random.default_rng(0)
    for seed in range(repeats(300)):
        width, height, *size = (int(side) for side in generator.integers(1, 500, 4))
        image = picture(width, height, seed)
        ours, theirs = resize(image, (size[0], size[1]), found), image.resize((size[0], size[1]), BILINEAR)
        assert ours.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs), err_msg=f"{width} x {height} to {size}")


@pytest.mark.parametrize("instructions", RESIZES)
def test_a_part_of_a_pixel_at_the_edge_counts_as_in_pillow(instructions: Instructions) -> None:
    found = library_of(instructions)
    generator = np.random.default_rng(1)
    for seed in range(repeats(300)):
        width, height, *size, right, bottom = (int(side) for side in generator.integers(1, [500] * 4 + [8] * 2))
        image, filled = picture(width, height, seed), (width - right / 8, height - bottom / 8)
        ours = resize(image, (size[0], size[1]), found, filled)
        theirs = image.resize((size[0], size[1]), BILINEAR, box=(0, 0, *filled))
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs), err_msg=f"{filled} of {width} x {height}")


@pytest.mark.parametrize("instructions", RESIZES)
def test_narrow_and_low_pictures_are_resized_as_in_pillow(instructions: Instructions) -> None:
    found = library_of(instructions)
    for width in range(1, 19):
        for height in (1, 2, 3, 7, 40):
            image = picture(width, height)
            for size in ((width, 1), (8, 2), (9, height), (3, 5), (40, 40)):
                ours, theirs = resize(image, size, found), image.resize(size, BILINEAR)
                np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs), err_msg=f"{image.size} to {size}")


@pytest.mark.parametrize("instructions", RESIZES)
@pytest.mark.parametrize("value", [0, 255])
def test_the_darkest_and_the_brightest_stay_what_they_are(instructions: Instructions, value: int) -> None:
    found = library_of(instructions)
    image = Image.fromarray(np.full((183, 275, 3), value, np.uint8))
    for side in (*range(8, 40), 96, 128, 224, 500):
        assert set(np.asarray(resize(image, (side, side), found)).flat) == {value}


@pytest.mark.parametrize("instructions", RESIZES)
@pytest.mark.parametrize(("sides", "size"), [((5000, 3), (9, 2)), ((20000, 3), (8, 2)), ((16, 9000), (16, 2))])
def test_thousands_of_taps_add_up_as_in_pillow(
    instructions: Instructions, sides: tuple[int, int], size: tuple[int, int]
) -> None:
    image = picture(*sides)
    ours, theirs = resize(image, size, library_of(instructions)), image.resize(size, BILINEAR)
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


@pytest.mark.parametrize(
    "size", [(1, 1), (2, 700), (700, 2), (383, 383), (384, 384), (385, 385), (500, 100), (769, 769), (1025, 900)]
)
@pytest.mark.parametrize("instructions", RESIZES)
def test_photos_of_any_shape_are_decoded_alike_with_and_without_it(
    instructions: Instructions, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, spec = photo("dandelion", size=size), ImageSpec(height=96, width=96)
    found = library_of(instructions)
    called: list[None] = []

    def counted(*arguments: object) -> None:
        called.append(None)
        found.resize(*arguments)

    monkeypatch.setattr(flatten, "library", lambda: found._replace(resize=counted))
    pixels = decode(data, spec)
    assert bool(called) is (size in NEAR)
    monkeypatch.setattr(flatten, "library", lambda: None)
    np.testing.assert_array_equal(pixels, decode(data, spec))
