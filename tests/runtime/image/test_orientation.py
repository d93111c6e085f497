"""The table of docs/photos.md: EXIF, irot with imir, and XMP, in each format."""

from __future__ import annotations

import io
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runtime.image import CorruptImage, ImageSpec, decode, inspect, preview
from runtime.image.avif.properties import Clap
from runtime.image.orientation import UPRIGHT
from tests.support.photos import draw_photo, encode
from tests.support.pictures.encoded_colours import with_chunks
from tests.support.suite.system_packages import needs
from training.evaluation.thumbnails import thumbnail

PHOTO = draw_photo("dandelion", 3, (320, 240))
FORMATS = ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"]
ORDERS = ["<", ">"]


def exif(orientation: int, order: str = ">", kind: str = "H") -> bytes:
    """A TIFF structure of one entry."""
    number = {"B": 1, "H": 3, "I": 4}[kind]
    value = struct.pack(order + kind, orientation).ljust(4, b"\0")
    return (
        {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "IHHHI", 8, 1, 0x0112, number, 1) + value + bytes(4)
    )


def xmp(orientation: int) -> bytes:
    return (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="%d"/></rdf:RDF></x:xmpmeta>'
        % orientation
    )


UPRIGHT_XMP = xmp(1)


def made(format: str, *, exif: bytes | None = None, xmp: bytes | None = None) -> bytes:
    """A photo with metadata; Pillow turns what it saves as AVIF and HEIC by irot, so there EXIF is put in later."""
    if format == "PNG":
        chunks = [(b"eXIf", exif)] if exif else []
        chunks += [(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)] if xmp else []
        return with_chunks(encode(PHOTO, "PNG"), *chunks)
    options: dict[str, object] = {"xmp": UPRIGHT_XMP} if xmp else {}
    if exif:
        marker = b"Exif\0\0" if format == "JPEG" else b""
        options["exif"] = marker + (exif if format in {"JPEG", "WEBP"} else UNTURNED)
    data = encode(PHOTO, format, **options)
    data = data.replace(UNTURNED, exif) if exif else data
    return data.replace(UPRIGHT_XMP, xmp) if xmp else data


UNTURNED = exif(1).replace(b"\x01\x12", b"\x01\x13")  # another tag, as an encoder would take the orientation out


def turned(data: bytes) -> int:
    """By which orientation a photo is turned: the one whose result is like it."""
    pixels = decode(data, ImageSpec(height=64, width=64)).astype(np.int16)
    errors = {1: np.abs(pixels - np.asarray(PHOTO.resize((64, 64)), np.int16)).mean()}
    for orientation, transpose in UPRIGHT.items():
        upright = PHOTO.transpose(transpose).resize((64, 64))
        errors[orientation] = np.abs(pixels - np.asarray(upright, np.int16)).mean()
    return min(errors, key=lambda each: errors[each])


@pytest.mark.parametrize("format", FORMATS)
def test_xmp_turns_no_photo(format: str) -> None:
    data = made(format, xmp=xmp(6))
    assert b"tiff:Orientation" in data
    assert turned(data) == 1
    assert preview(data, 64).shape == (48, 64, 3)
    assert thumbnail(data) == thumbnail(made(format))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_jpeg_png_and_webp_whatever_xmp_says(format: str, orientation: int, order: str) -> None:
    assert turned(made(format, exif=exif(orientation, order), xmp=xmp(3))) == orientation


@pytest.mark.parametrize("format", ["AVIF", "HEIF"])
@pytest.mark.parametrize("orientation", [3, 6])
def test_exif_does_not_turn_avif_and_heic(format: str, orientation: int) -> None:
    data = made(format, exif=exif(orientation))
    assert exif(orientation) in data
    assert turned(data) == 1


@pytest.mark.parametrize("format", ["AVIF", "HEIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_irot_and_imir_turn_avif_and_heic_whatever_xmp_says(format: str, orientation: int) -> None:
    image = Image.Exif()
    image[0x0112] = orientation
    data = encode(PHOTO, format, exif=image.tobytes(), xmp=xmp(1))  # from which the encoder makes irot and imir
    assert (b"irot" in data or b"imir" in data) == (orientation > 1)
    assert turned(data) == orientation


def test_a_png_that_tells_its_orientation_behind_the_picture_is_turned_in_the_preview_too() -> None:
    data = made("PNG", exif=exif(6))
    chunk = data[33 : 33 + 12 + len(exif(6))]
    late = data[:33] + data[33 + len(chunk) : -12] + chunk + data[-12:]
    assert turned(late) == 6
    assert preview(late, 64).shape == (64, 48, 3)


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"II",
        b"garbage!",
        exif(0),
        exif(9),
        exif(65535),
        exif(6)[:9],
        exif(6)[:14],
        exif(6).replace(b"\0\3\0\0\0\1", b"\0\2\0\0\0\1"),  # as text
        b"MM\0*\xff\xff\xff\xff",
        b"II*\0\x08\0\0\0\xff\xff",
    ],
)
def test_exif_that_says_nothing_turns_no_photo(block: bytes) -> None:
    assert turned(made("WEBP", exif=block or None)) == 1


@pytest.mark.parametrize("kind", ["B", "H", "I"])
def test_the_orientation_is_read_as_any_whole_number(kind: str) -> None:
    assert turned(made("WEBP", exif=b"Exif\0\0" + exif(8, "<", kind))) == 8


def avifenc(folder: Path, *options: str) -> bytes:
    source, target = folder / "photo.png", folder / "photo.avif"
    PHOTO.save(source)
    subprocess.run(["avifenc", "-s", "8", "-y", "444", *options, source, target], check=True, capture_output=True)
    return target.read_bytes()


@needs("libavif-bin")
@pytest.mark.parametrize("box", [(0, 0, 160, 100), (100, 60, 200, 120), (319, 0, 1, 240)])
@pytest.mark.parametrize("turn", [0, 1])
def test_an_avif_is_cropped_before_it_is_turned(tmp_path: Path, box: tuple[int, int, int, int], turn: int) -> None:
    left, upper, width, height = box
    data = avifenc(tmp_path, "--crop", ",".join(map(str, box)), *(["--irot", "1"] if turn else []))
    expected = PHOTO.crop((left, upper, left + width, upper + height))
    if turn:
        expected = expected.transpose(Image.Transpose.ROTATE_90)
    spec = ImageSpec(height=48, width=48)
    difference = decode(data, spec).astype(np.int16) - decode(encode(expected, "PNG"), spec)
    assert np.abs(difference).mean() < 6
    assert inspect(data).shown == (width, height)
    assert preview(data, 400).shape == (expected.height, expected.width, 3)


@needs("libavif-bin")
def test_damage_to_the_properties_of_an_avif_is_refused_or_answered(tmp_path: Path) -> None:
    whole = avifenc(tmp_path, "--crop", "0,0,160,100", "--irot", "1", "--cicp", "9/16/9")
    start, end = whole.index(b"iprp"), whole.index(b"mdat")
    generator = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(whole)
        for at in generator.integers(start, end, 2):
            damaged[at] = generator.integers(0, 256)
        try:
            assert decode(bytes(damaged), ImageSpec(height=8, width=8)).shape == (8, 8, 3)
        except CorruptImage:
            continue


@pytest.mark.parametrize(
    ("clap", "crop"),
    [
        (Clap((160, 1), (100, 1), (-80, 1), (-70, 1)), (0, 0, 160, 100)),
        (Clap((320, 2), (100, 1), (-80, 1), (-140, 2)), (0, 0, 160, 100)),
        (Clap((100, 1), (100, 1), (1, 3), (0, 1)), (110, 70, 210, 170)),  # edges between pixels are rounded
        (Clap((320, 1), (240, 1), (0, 1), (0, 1)), None),  # all of it
        (Clap((321, 1), (240, 1), (0, 1), (0, 1)), None),
        (Clap((160, 1), (100, 1), (200, 1), (0, 1)), None),  # beyond the picture
        (Clap((160, 0), (100, 1), (0, 1), (0, 1)), None),
        (Clap((0, 1), (100, 1), (0, 1), (0, 1)), None),
    ],
)
def test_a_crop_is_a_part_of_the_picture_or_none(clap: Clap, crop: tuple[int, int, int, int] | None) -> None:
    assert clap.crop(320, 240) == crop


def test_pillow_would_turn_by_xmp() -> None:
    """Why the orientation is read here: when this fails, Pillow has changed and this can be simpler."""
    with Image.open(io.BytesIO(made("AVIF", xmp=xmp(6)))) as image:
        assert image.getexif()[0x0112] == 6
