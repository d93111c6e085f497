"""JPEGs whose end is missing, that are damaged, or that are coded in ways that few encoders write."""

from __future__ import annotations

import io
import subprocess

import numpy as np
import pytest
from PIL import Image

from runtime.host.photo_limits import MIN_DECODING_BYTES
from runtime.image import (
    CorruptImage,
    ImageSpec,
    ImageTooLarge,
    PhotoLimits,
    UnsupportedImage,
    decode,
    decode_brief,
    decode_photo,
    decoding_cost,
    inspect,
)
from tests.support.photos import draw_photo, encode, photo
from tests.support.pictures.jpegs import lossless_jpeg
from tests.support.suite.system_packages import needs

SPEC = ImageSpec(height=96, width=96)
END = b"\xff\xd9"
SIZE = (400, 300)
# Codings (options of Pillow) in one scan and in several; in several, restart markers are counted from scan to scan.
ONE_SCAN: dict[str, dict[str, object]] = {
    "baseline": {},
    "optimised": {"optimize": True, "subsampling": 0},
    "restarts by rows": {"restart_marker_rows": 1},
    "restarts by blocks": {"restart_marker_blocks": 3},
}
SCANS: dict[str, dict[str, object]] = {
    "progressive": {"progressive": True},
    "progressive with restarts": {"progressive": True, "restart_marker_rows": 1},
}
CODINGS = ONE_SCAN | SCANS
MODES = ("RGB", "L", "CMYK")
every_coding = pytest.mark.parametrize("coding", CODINGS)


def coded(coding: str, mode: str = "RGB", size: tuple[int, int] = SIZE) -> bytes:
    return encode(draw_photo("dandelion", 0, size).convert(mode), **CODINGS[coding])


def first_scan(data: bytes) -> int:
    return data.index(b"\xff\xda") + 14


@pytest.mark.parametrize("mode", MODES)
@every_coding
def test_a_whole_jpeg_is_not_damaged_with_or_without_its_end(coding: str, mode: str) -> None:
    data = coded(coding, mode)
    assert data.endswith(END)
    expected, damaged = decode_photo(data, SPEC)
    assert not damaged
    behind = (b"", b"\xff", b"\xff\xff\xff\xd9", b"\x00\x00SEFH of a panorama" * 99, photo(seed=5), END + photo(seed=5))
    for each in behind:
        decoded = decode_photo(data[:-2] + each, SPEC)
        assert not decoded.damaged, each[:9]
        np.testing.assert_array_equal(decoded.pixels, expected)


@pytest.mark.parametrize("mode", MODES)
@every_coding
def test_half_a_jpeg_is_damaged_if_it_has_an_end_and_refused_if_not(coding: str, mode: str) -> None:
    data = coded(coding, mode)
    begin = first_scan(data)
    for share in (0.02, 0.3, 0.5, 0.9):
        half = data[: begin + int(share * (len(data) - begin))]
        assert decode_photo(half + END, SPEC).damaged, share
        assert decode_photo(half + END + b"more" * 50, SPEC).damaged, share
        with pytest.raises(CorruptImage, match="truncated"):
            decode(half, SPEC)


@pytest.mark.parametrize("coding", ONE_SCAN)
def test_a_jpeg_with_a_hole_or_a_piece_too_much_is_damaged(coding: str) -> None:
    data = coded(coding)
    middle = len(data) // 2
    hole, zeros = data[:middle] + data[middle + 3000 :], data[:middle] + bytes(3000) + data[middle + 3000 :]
    other = data[:middle] + b"\xff\xe1\x00\x08 text " + data[middle + 200 :]
    for each in (hole, zeros, other):
        assert decode_photo(each, SPEC).damaged
    if "restarts" not in coding:
        assert decode_photo(data[: middle + 400] + data[middle:], SPEC).damaged


def test_a_missing_interval_is_noticed_although_the_picture_is_complete() -> None:
    data = coded("restarts by rows")
    third, fourth = data.index(b"\xff\xd2"), data.index(b"\xff\xd3")
    assert decode_photo(data[:third] + data[fourth:], SPEC).damaged


@pytest.mark.parametrize("colour", ["white", "black"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@every_coding
def test_a_plain_area_is_not_taken_for_damage(coding: str, mode: str, colour: str) -> None:
    plain = Image.new(mode, SIZE, colour)
    for size in ((400, 300), (97, 33), (8, 8), (1, 1)):
        data = encode(plain.resize(size), **CODINGS[coding])
        assert not decode_photo(data, SPEC).damaged
        assert not decode_photo(data[:-2], SPEC).damaged


def test_a_jpeg_of_several_pictures_in_one_scan_each_is_decoded_at_scale() -> None:
    """Phones write their largest photos so: the picture, and a small one or a gain map behind it (MPO)."""
    first, second = draw_photo("dandelion", 0, (800, 700)), draw_photo("grass", 0, (800, 700))
    data = encode(first, "MPO", save_all=True, append_images=[second])
    header = inspect(data)
    assert header.frames == 2
    assert header.scales
    assert decoding_cost(header, SPEC) == pytest.approx(decoding_cost(inspect(encode(first)), SPEC), rel=0.01)
    expected, damaged = decode_photo(data, SPEC)
    assert not damaged
    np.testing.assert_array_equal(expected, decode(encode(first), SPEC))
    end = data.index(b"\xff\xd9\xff\xd8")
    assert decode_photo(data[: end - 3000] + data[end:], SPEC).damaged


@pytest.mark.parametrize("size", [(12000, 9000), (16320, 12240)])
def test_the_largest_photo_of_a_phone_takes_what_little_memory_it_costs(size: tuple[int, int]) -> None:
    data = encode(Image.new("L", size, 200), progressive=False)
    assert (decode(data, SPEC, limits=PhotoLimits(decoding_bytes=MIN_DECODING_BYTES)) == 200).all()


def test_a_small_damaged_jpeg_is_known_for_one_on_the_event_loop() -> None:
    data = coded("baseline", size=(200, 100))
    brief, half = decode_brief(data, SPEC), decode_brief(data[: len(data) // 2] + END, SPEC)
    assert [each and each.damaged for each in (brief, half)] == [False, True]


def cjpeg(image: Image.Image, *options: str) -> bytes:
    return subprocess.run(
        ["cjpeg", "-quality", "98", *options], input=encode(image, "PPM"), capture_output=True, check=True
    ).stdout


@needs("libjpeg-turbo-progs")
@pytest.mark.parametrize("options", [(), ("-progressive",), ("-grayscale",), ("-restart", "1")])
def test_arithmetic_coding_is_decoded_whatever_its_size(options: tuple[str, ...]) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8))
    data, usual = cjpeg(noise, "-arithmetic", *options), cjpeg(noise, *options)
    assert len(data) > 1 << 16
    decoded = decode_photo(data, SPEC)
    assert not decoded.damaged
    np.testing.assert_array_equal(decoded.pixels, decode(usual, SPEC))
    if "-progressive" not in options:
        assert decode_photo(data[: len(data) // 2] + END, SPEC).damaged
        without_end = decode_photo(data[:-2], SPEC)
        np.testing.assert_array_equal(without_end.pixels, decoded.pixels)
        assert not without_end.damaged
    with pytest.raises(CorruptImage):
        decode(data[: len(data) // 2], SPEC)


@pytest.mark.parametrize("size", [(40, 30), (191, 500), (192, 192), (800, 500)])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_lossless_jpeg_is_decoded_without_loss(mode: str, size: tuple[int, int]) -> None:
    image = draw_photo("grass", 1, size).convert(mode)
    data = lossless_jpeg(np.asarray(image))
    assert not decode_photo(data, SPEC).damaged
    np.testing.assert_array_equal(decode(data, SPEC), decode(encode(image, "PNG"), SPEC))
    np.testing.assert_array_equal(decode(data[:-2], SPEC), decode(data, SPEC))
    assert decode_photo(data[: len(data) // 2] + END, SPEC).damaged


def test_a_lossless_jpeg_is_not_taken_for_one_that_is_decoded_at_scale() -> None:
    data = lossless_jpeg(np.zeros((300, 400), np.uint8))
    assert not inspect(data).scales
    with pytest.raises(ImageTooLarge, match=r"0\.1 megapixels that .* for a lossless JPEG"):
        decode(data, SPEC, limits=PhotoLimits(decoding_bytes=250_000))


@pytest.mark.parametrize(
    ("frame", "bits", "kind"),
    [
        (0xC1, 12, "12 bits a sample"),
        (0xC3, 16, "16 bits a sample"),
        (0xC5, 8, "hierarchical"),
        (0xCB, 8, "lossless and arithmetic coding"),
    ],
)
def test_a_jpeg_that_is_not_decoded_here_is_called_by_its_kind(frame: int, bits: int, kind: str) -> None:
    data = bytearray(photo())
    header = data.index(b"\xff\xc0")
    data[header + 1], data[header + 4] = frame, bits
    with pytest.raises(UnsupportedImage, match=f"this kind of JPEG .{kind}. is not accepted; save it as an ordinary"):
        decode(bytes(data), SPEC)


def test_two_components_are_a_kind_of_their_own() -> None:
    data = photo().replace(b"\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01", b"\x02\x01\x22\x00\x02\x11\x01\x03\x11\x01", 1)
    with pytest.raises(UnsupportedImage, match="2 components"):
        decode(data, SPEC)


def test_what_is_not_decoded_here_in_a_thumbnail_or_text_says_nothing_of_the_photo() -> None:
    data = encode(draw_photo("grass", 0, SIZE), comment=b"\xff\xc3\xff\xcb\xff\xc9\xff\xdd\x00\x04\x00\x09")
    assert not decode_photo(data, SPEC).damaged
    np.testing.assert_array_equal(decode(data, SPEC), decode(photo("grass", size=SIZE), SPEC))
    assert Image.open(io.BytesIO(data)).info["comment"].startswith(b"\xff\xc3")
