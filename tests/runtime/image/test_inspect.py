"""A photo is inspected once: what its header says, and the limits on it."""

from __future__ import annotations

import pytest
from PIL import Image

from runtime.image import FORMATS, CorruptImage, ImageTooLarge, PhotoLimits, check_limits, inspect
from runtime.image.jpeg.markers import has_short_header
from runtime.image.limits import MAX_FRAMES, MAX_PICTURES, MAX_SCANS
from tests.support.photos import draw_photo, encode, photo


@pytest.mark.parametrize("format", FORMATS)
def test_a_header_says_what_a_photo_is(format: str) -> None:
    header = inspect(photo(format=format, size=(120, 80)))
    assert (header.format, header.width, header.height, header.pixels) == (format, 120, 80, 9600)
    assert (header.frames, header.scans, header.progressive) == (1, 1, False)
    assert header.coded.sizes == ([(120, 80)] if format == "AVIF" else [])
    assert header.image.size == (120, 80)


def test_frames_are_counted() -> None:
    frames = [draw_photo("grass", seed, (32, 24)) for seed in range(3)]
    for format in ("PNG", "WEBP", "AVIF"):
        assert inspect(encode(frames[0], format, save_all=True, append_images=frames[1:])).frames == 3


def test_a_jpeg_of_several_pictures_is_a_jpeg() -> None:
    first, second = draw_photo("dandelion", 0), draw_photo("grass", 0)
    header = inspect(encode(first, "MPO", save_all=True, append_images=[second]))
    assert (header.format, header.frames) == ("JPEG", 2)
    assert header.image.format == "MPO"


def test_the_scans_of_a_progressive_jpeg_are_counted() -> None:
    data = encode(draw_photo("grass", 1, (320, 240)), "JPEG", progressive=True)
    header = inspect(data)
    assert header.progressive
    assert header.scans == data.count(b"\xff\xda") == 10


@pytest.mark.parametrize(("more", "refused"), [(MAX_SCANS - 9, False), (MAX_SCANS - 8, True), (900, True)])
def test_the_limit_on_scans_is_exact(more: int, refused: bool) -> None:
    """A progressive photo has ten: the first, and nine of those that are limited."""
    data = encode(draw_photo("grass", 1, (320, 240)), "JPEG", progressive=True)
    header = inspect(data[:-2] + data[data.rindex(b"\xff\xda") : -2][:16] * more + data[-2:])
    if refused:
        with pytest.raises(CorruptImage, match=f"more than {MAX_SCANS} scans"):
            check_limits(header)
    else:
        assert check_limits(header) is header


def test_inspection_checks_neither_pixels_nor_frames() -> None:
    header = inspect(encode(Image.new("L", (4000, 4000)), "PNG"))
    with pytest.raises(ImageTooLarge, match="4000 x 4000 pixels"):
        check_limits(header, PhotoLimits(max_pixels=1_000_000))
    assert check_limits(header) is header
    with pytest.raises(ImageTooLarge, match=f"{MAX_FRAMES + 1} frames"):
        check_limits(header._replace(frames=MAX_FRAMES + 1))
    giants = header.coded._replace(pixels=MAX_PICTURES * 64_000_000 + 1)
    with pytest.raises(ImageTooLarge, match="send one picture"):
        check_limits(header._replace(coded=giants))


@pytest.mark.parametrize("format", FORMATS)
def test_only_a_jpeg_has_a_short_header(format: str) -> None:
    assert has_short_header(photo(format=format)) == (format == "JPEG")
