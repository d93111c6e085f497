"""Colour that is told without an ICC profile: code points (CICP), gamma and chromaticities, and grey profiles."""

from __future__ import annotations

import os
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import Bundle
from runtime.image import ImageSpec, decode, inspect
from runtime.image.avif import coded_pictures
from runtime.image.colour.cicp import CHROMATICITIES, LIGHT, TAKEN_FOR_SRGB, Cicp
from runtime.image.colour.spaces import convert, of_cicp, to_sdr
from runtime.inference.backends import open_validated
from tests.runtime.image.test_avif import avif, bits, sizes, unit
from tests.runtime.image.test_colour import SRGB, profile
from tests.support.photos import draw_photo, encode, png
from tests.support.pictures.encoded_colours import TO_BT2020, TO_P3, hlg, in_8_bits, light_of, pq, srgb, with_chunks
from tests.support.suite.repeats import thorough_but
from tests.support.suite.system_packages import needs

SPEC = ImageSpec(height=72, width=96)  # as large as the photo: nothing is resized
PHOTO = draw_photo("dandelion", 4)
SIGNALS = {
    "P3": (in_8_bits(srgb(light_of(PHOTO) @ TO_P3.T)), (12, 13)),
    "PQ": (in_8_bits(pq(light_of(PHOTO) @ TO_BT2020.T)), (9, 16)),
    "HLG": (in_8_bits(hlg(light_of(PHOTO) @ TO_BT2020.T)), (9, 18)),
    "linear": (in_8_bits(light_of(PHOTO)), (1, 8)),
    "gamma 2.8": (in_8_bits(light_of(PHOTO) ** (1 / 2.8)), (1, 5)),
}
GREY = Image.fromarray(np.arange(256, dtype=np.uint8)[np.newaxis].repeat(4, axis=0))
RAMP = ImageSpec(height=4, width=256)


def difference(data: bytes, reference: Image.Image = PHOTO) -> float:
    return float(np.abs(decode(data, SPEC).astype(np.int16) - np.asarray(reference)).mean())


def cicp(primaries: int, transfer: int, full: int = 1) -> tuple[bytes, bytes]:
    return b"cICP", bytes([primaries, transfer, 0, full])


def gamma(exponent: float) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", round(exponent * 100_000))


def chromaticities(*points: float) -> tuple[bytes, bytes]:
    return b"cHRM", struct.pack(">8I", *(round(point * 100_000) for point in points))


def with_nclx(data: bytes, primaries: int, transfer: int) -> bytes:
    """An AVIF or HEIC with other code points; the matrix stays."""
    at = data.index(b"nclx") + 4
    return data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]


def grey_profile(exponent: float) -> bytes:
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(exponent * 256)) + bytes(2)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    table = struct.pack(">I", 2) + b"wtpt" + struct.pack(">II", 156, 20) + b"kTRC" + struct.pack(">II", 176, 16)
    header = struct.pack(">I4sI4s4s4s", 192, b"none", 0x02400000, b"mntr", b"GRAY", b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + table + white + curve


@pytest.mark.parametrize("name", SIGNALS)
def test_code_points_of_a_png_are_applied(name: str) -> None:
    image, points = SIGNALS[name]
    assert difference(encode(image, "PNG")) > 3
    assert difference(with_chunks(encode(image, "PNG"), cicp(*points))) < 2


@pytest.mark.parametrize("format", ["AVIF", "HEIF"])
@pytest.mark.parametrize("name", ["P3", "PQ", "HLG"])
def test_code_points_of_avif_and_heic_are_applied(format: str, name: str) -> None:
    image, points = SIGNALS[name]
    fine = {"subsampling": "4:4:4", "speed": 6} if format == "AVIF" else {"chroma": 444}
    data = encode(image, format, quality=98, **fine)
    assert difference(with_nclx(data, *points)) < min(6, difference(data))


@needs("libavif-bin")
@pytest.mark.parametrize(
    ("points", "signal", "most"), [("12/13/1", "P3", 3), ("9/16/9 -d 10", "PQ", 10), ("9/18/9 -d 10", "HLG", 10)]
)
def test_a_photo_of_avifenc_is_as_the_srgb_original(tmp_path: Path, points: str, signal: str, most: float) -> None:
    source, made = tmp_path / "photo.png", tmp_path / "photo.avif"
    SIGNALS[signal][0].save(source)
    subprocess.run(
        ["avifenc", "--min", "0", "--max", "4", "-y", "444", "--cicp", *points.split(), source, made],
        check=True,
        capture_output=True,
    )
    assert difference(made.read_bytes()) < most


def test_the_code_points_of_av1_count_where_the_container_has_none() -> None:
    colours = [(0, 1), (0, 1), (1, 1), (9, 8), (16, 8), (9, 8), (0, 1), (0, 2), (0, 1)]
    header = bits((0, 3), (1, 1), (1, 1), (0, 5), *sizes(64, 48, 16), (0, 3), (0, 3), *colours)
    assert coded_pictures(avif(unit(header) + unit(b"", 6))).cicp == Cicp(9, 16)


def test_a_film_is_shown_in_its_colours() -> None:
    image, points = SIGNALS["P3"]
    data = encode(image, "AVIF", save_all=True, append_images=[image], quality=98, subsampling="4:4:4")
    last = data.rindex(b"nclx") + 4  # of the film; the picture before may have its own
    changed = data[:last] + struct.pack(">HH", *points) + data[last + 4 :]
    assert difference(changed) < min(3, difference(data))


def test_code_points_win_over_a_profile_over_srgb_over_gamma() -> None:
    image, points = SIGNALS["P3"]
    profiled = encode(image, "PNG", icc_profile=grey_profile(1.0).replace(b"GRAY", b"RGB "))
    assert difference(with_chunks(profiled, cicp(*points))) < 2
    assert inspect(with_chunks(profiled, gamma(1.0))).colour is None
    plain = encode(PHOTO, "PNG")
    assert difference(with_chunks(plain, (b"sRGB", b"\0"), gamma(1.0))) == 0
    linear = encode(SIGNALS["linear"][0], "PNG")
    assert difference(with_chunks(linear, cicp(1, 8), (b"sRGB", b"\0"), gamma(0.45455))) < 2


def test_a_profile_wins_over_the_code_points_of_avif_and_heic() -> None:
    for format in ("AVIF", "HEIF"):
        data = encode(PHOTO, format, icc_profile=profile(SRGB, 2.2))
        if b"nclx" in data:
            data = with_nclx(data, 9, 16)
        assert inspect(data).colour is None


@pytest.mark.parametrize("points", [(2, 2), (1, 13), (1, 1), (1, 6), (9, 3), (77, 16), (0, 0), (9, 255)])
def test_code_points_that_name_srgb_or_nothing_change_no_pixel(points: tuple[int, int]) -> None:
    assert difference(with_chunks(encode(PHOTO, "PNG"), cicp(*points))) == 0


def test_a_png_of_narrow_range_is_stretched() -> None:
    narrow = Image.fromarray(np.rint(16 + np.asarray(PHOTO) * (219 / 255)).astype(np.uint8))
    assert difference(with_chunks(encode(narrow, "PNG"), cicp(1, 13, full=0))) < 1


def test_gamma_and_chromaticities_of_a_png_are_applied() -> None:
    assert difference(with_chunks(encode(SIGNALS["linear"][0], "PNG"), gamma(1.0))) < 2
    p3 = with_chunks(
        encode(SIGNALS["P3"][0], "PNG"), chromaticities(0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
    )
    assert difference(p3) < 2


@pytest.mark.parametrize(
    "chunk",
    [
        gamma(0.45455),
        gamma(0.46),
        gamma(0),
        gamma(1e-5),
        gamma(42_000),
        chromaticities(0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06),
        chromaticities(*[0.0] * 8),
        chromaticities(*[0.3] * 8),
        (b"cICP", b"\x09\x10"),
        (b"cICP", b"\x09\x10\x09\x01"),
    ],
)
def test_what_is_srgb_or_absurd_changes_no_pixel(chunk: tuple[bytes, bytes]) -> None:
    assert difference(with_chunks(encode(PHOTO, "PNG"), chunk)) == 0


def test_code_points_behind_the_picture_do_not_count() -> None:
    data = encode(PHOTO, "PNG")
    late = with_chunks(data[:33], cicp(9, 16))[33:]
    assert difference(data[:-12] + late + data[-12:]) == 0


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
@pytest.mark.parametrize("mode", ["L", "LA"])
def test_a_grey_profile_is_applied(format: str, mode: str) -> None:
    if format == "JPEG" and mode == "LA":
        mode = "L"  # JPEG has no transparency
    image = GREY.convert(mode)
    data = encode(image, format, icc_profile=grey_profile(1.0), **({"quality": 100} if format == "JPEG" else {}))
    wanted = np.rint(srgb(np.arange(256) / 255) * 255)
    error = np.abs(decode(data, RAMP)[2].astype(np.int16) - wanted[:, np.newaxis])
    assert error.max() <= (14 if format == "JPEG" else 2)  # a step of a JPEG is 13 in the darkest


def test_a_grey_profile_of_16_bits_is_applied() -> None:
    compressed = (b"iCCP", b"grey\0\0" + zlib.compress(grey_profile(1.0)))
    data = png((2, 1), 16, 0, b"\0" + b"\x40\x00\x80\x00", compressed)
    assert np.abs(decode(data, ImageSpec(height=1, width=2))[0, :, 0].astype(np.int16) - [137, 188]).max() <= 2


def test_a_grey_profile_near_srgbs_own_curve_changes_little() -> None:
    data = encode(GREY, "PNG", icc_profile=grey_profile(2.2))
    assert np.abs(decode(data, RAMP)[0, :, 0].astype(np.int16) - np.arange(256)).max() <= 10  # in the darkest


def test_tone_mapping_keeps_what_is_no_brighter_than_white_and_brings_the_peak_to_white() -> None:
    plain = np.linspace(0, 1, 30, dtype=np.float32).reshape(2, 5, 3)
    assert (to_sdr(plain) == plain).all()
    bright = np.array([[[0.01, 0.01, 0.01], [0.5, 0.25, 0.1], [1, 1, 1], [20, 10, 5]]], np.float32)
    mapped = to_sdr(bright)[0]
    assert mapped.max() == pytest.approx(1, abs=1e-3)
    assert mapped[0] == pytest.approx([0.01] * 3, rel=1e-3)  # below the knee
    assert mapped[3] / mapped[3].max() == pytest.approx([1, 0.5, 0.25], rel=1e-3)  # the hue is kept
    assert (np.diff(mapped.max(axis=-1)) > 0).all()


@pytest.mark.parametrize("transfer", sorted({*LIGHT, *TAKEN_FOR_SRGB}))
@pytest.mark.parametrize("primaries", sorted(CHROMATICITIES))
def test_every_code_point_leaves_black_black_and_white_white(primaries: int, transfer: int) -> None:
    space = of_cicp(Cicp(primaries, transfer))
    assert space is not None
    ends = Image.fromarray(np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8))
    black, white = np.asarray(convert(ends, space))[0].tolist()
    assert max(black) <= 26  # the logarithmic curves end at 1 / 100 and 1 / 316 of white
    assert min(white) >= 253


def real_photos(count: int) -> list[Path]:
    folder = os.environ.get("DANDELION_PHOTOS")
    if folder is None:
        pytest.skip("set DANDELION_PHOTOS to a folder of the real photos (python -m training fetch brings them)")
    files = sorted(Path(folder).rglob("*.jpg"))
    return files[:: max(1, len(files) // count)][:count]


@pytest.mark.parametrize("name", thorough_but(["PQ"], ["PQ", "HLG"]))
def test_real_photos_keep_their_class(name: str) -> None:
    """With COLOUR_PHOTOS=200, of as many photos."""
    curve = {"PQ": pq, "HLG": hlg}[name]
    told = cicp(*SIGNALS[name][1])
    bundle = Bundle.open(default_bundle())
    spec, same, files = bundle.manifest.input, 0, real_photos(int(os.environ.get("COLOUR_PHOTOS", "40")))
    session = open_validated(bundle, threads=1).session
    for file in files:
        with Image.open(file) as opened:
            image = opened.convert("RGB")
        image.thumbnail((400, 400))
        encoded = with_chunks(encode(in_8_bits(curve(light_of(image) @ TO_BT2020.T)), "PNG", compress_level=1), told)
        pixels = [decode(data, spec) for data in (encode(image, "PNG", compress_level=1), encoded)]
        assert np.abs(pixels[0].astype(np.int16) - pixels[1]).mean() < 10
        before, after = (session.infer(each[np.newaxis]).probabilities[0].argmax() for each in pixels)
        same += int(before == after)
    assert same >= 0.98 * len(files)
