"""The size of an AVIF is taken from its AV1 data, not from its header."""

from __future__ import annotations

import io
import struct
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from PIL import Image

from runtime.image import CorruptImage, ImageSpec, ImageTooLarge, PhotoLimits, decode, decoding_cost, inspect
from runtime.image.avif import MAX_READS, coded_pictures
from tests.support.photos import draw_photo, encode, photo

SPEC = ImageSpec(height=32, width=32)
KEY, SHOWN = (0, 2), (1, 1)
Numbers = tuple[int, int]  # a value, and in how many bits it is written


def bits(*numbers: Numbers) -> bytes:
    text = "".join(f"{value:0{width}b}" for value, width in numbers)
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def unit(content: bytes, kind: int = 1) -> bytes:
    """An OBU: a sequence header, unless it is of another kind."""
    return bytes([kind << 3 | 2, len(content)]) + content


def sizes(width: int, height: int, width_bits: int) -> list[Numbers]:
    return [(width_bits - 1, 4), (width_bits - 1, 4), (width - 1, width_bits), (height - 1, width_bits)]


def still(width: int, height: int) -> bytes:
    """A picture with the short sequence header of a still one."""
    return unit(bits((0, 3), (1, 1), (1, 1), (0, 5), *sizes(width, height, 16))) + unit(b"", 6)


def plain(width: int, height: int, *frame: Numbers, width_bits: int = 16) -> bytes:
    """A picture as SVT-AV1 writes it: a full header, with fields of 16 bits whatever the size; and a frame."""
    tools = [(0, 1), (0, 7), (0, 1), (1, 1), (1, 1)]  # no ids, no order hints; frames choose their screen content
    header = bits(
        (0, 3), (0, 1), (0, 1), (0, 1), (0, 1), (0, 5), (0, 12), (3, 5), *sizes(width, height, width_bits), *tools
    )
    return unit(b"", 2) + unit(header) + (unit(bits(*frame), 6) if frame else b"")


FRAME = [(0, 1), KEY, SHOWN, (0, 1), (0, 1), (0, 1), (0, 16)]  # no size of its own
RESIZED = [*FRAME[:-2], (1, 1), (0, 16)]


def box(kind: bytes, *parts: bytes, wide: bool = False) -> bytes:
    content = b"".join(parts)
    if wide:
        return struct.pack(">I4sQ", 1, kind, 16 + len(content)) + content
    return struct.pack(">I", 8 + len(content)) + kind + content


FTYP = box(b"ftyp", b"avif", bytes(4), b"avifmif1")
FILM = box(b"ftyp", b"avis", bytes(4), b"avismif1")
STCO = box(b"stco", bytes(4), struct.pack(">II", 1, 8))
STSZ = box(b"stsz", bytes(4), struct.pack(">II", 9, 1))


def avif(
    *pictures: bytes,
    iloc: int = 0,
    infe: int = 2,
    extents: int = 1,
    within: bool = False,
    wide: bool = False,
    length: int = 0,
) -> bytes:
    """As little of an AVIF as its pictures need, each in so many extents, which claim `length` where it is given."""
    number = ">I" if infe == 3 else ">H"
    items = [
        box(b"infe", bytes([infe, 0, 0, 0]), struct.pack(number, i), bytes(2), b"av01", b"\0")
        for i in range(len(pictures))
    ]
    info = box(b"iinf", bytes(4), struct.pack(">H", len(items)), *items)
    identity = ">I" if iloc == 2 else ">H"
    held = box(b"idat", *pictures) if within else b""

    def located(start: int) -> bytes:
        table = [bytes([iloc, 0, 0, 0]), b"\x44\0" if iloc == 0 else b"\x44\x04", struct.pack(identity, len(pictures))]
        for i, picture in enumerate(pictures):
            method = struct.pack(">H", int(within)) if iloc else b""
            table.append(struct.pack(identity, i) + method + struct.pack(">HH", 0, extents))
            step = -(-len(picture) // extents)
            runs = [(start + step * n, length or max(0, min(step, len(picture) - step * n))) for n in range(extents)]
            table.extend((bytes(4) if iloc else b"") + struct.pack(">II", *run) for run in runs)
            start += len(picture)
        return FTYP + box(b"meta", bytes(4), info, box(b"iloc", *table), held, wide=wide)

    if within:
        return located(0)
    return located(len(located(0)) + (16 if wide else 8)) + box(b"mdat", *pictures, wide=wide)


def film(*tables: bytes, kind: bytes = b"av01") -> bytes:
    entry = box(b"stsd", bytes(8), box(kind, bytes(78)))
    return FILM + box(b"moov", box(b"trak", box(b"mdia", box(b"minf", box(b"stbl", entry, *tables)))))


def with_tables(picture: bytes, *, wide: bool = False, same_size: bool = False) -> bytes:
    size = struct.pack(">II", len(picture), 1) if same_size else struct.pack(">III", 0, 1, len(picture))
    stsz = box(b"stsz", bytes(4), size)

    def made(start: int) -> bytes:
        where = struct.pack(">IQ" if wide else ">II", 1, start)
        return film(box(b"co64" if wide else b"stco", bytes(4), where), stsz)

    return made(len(made(0)) + 8) + box(b"mdat", picture)


@pytest.mark.parametrize("size", [(64, 48), (1, 1), (300, 7)])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_ordinary_pictures_are_as_large_as_they_say(size: tuple[int, int], mode: str) -> None:
    image = draw_photo("grass", 1, (300, 300)).resize(size).convert(mode)
    if mode == "RGBA":
        image.putalpha(77)
    file = io.BytesIO()
    image.save(file, "AVIF")
    pictures = 2 if mode == "RGBA" else 1
    expected = [size] * pictures, size[0] * size[1] * pictures
    assert coded_pictures(file.getvalue())[:2] == expected
    assert coded_pictures(file.getvalue() + b"a phone's trailer, of whatever it likes")[:2] == expected


@pytest.mark.parametrize(("subsampling", "bytes_a_pixel"), [("4:2:0", 1.5), ("4:2:2", 2), ("4:4:4", 3), ("4:0:0", 1)])
def test_the_planes_of_a_picture_are_as_large_as_its_subsampling_makes_them(
    subsampling: str, bytes_a_pixel: float
) -> None:
    data = encode(draw_photo("grass", 1), "AVIF", subsampling=subsampling)
    assert coded_pictures(data).plane_bytes == 96 * 72 * bytes_a_pixel


@pytest.mark.parametrize(
    ("colours", "bytes_a_pixel"),
    [
        ([(0, 1), (0, 1), (0, 1), (0, 1), (0, 2), (0, 1), (0, 1)], 1.5),
        ([(1, 1), (0, 1), (0, 1), (0, 1), (0, 2), (0, 1), (0, 1)], 3),  # of 10 bits
        ([(0, 1), (0, 1), (0, 1), (0, 1), (0, 2), (0, 1), (1, 1)], 3),  # with grain, which is a copy
        ([(0, 1), (1, 1), (0, 1), (0, 1), (0, 1)], 1),
        ([(0, 1), (0, 1), (1, 1), (1, 8), (13, 8), (0, 8), (0, 1), (0, 1)], 3),  # sRGB
        ([], 18),  # a header that ends before is of the most
    ],
)
def test_the_colours_of_a_header_say_how_large_planes_are(colours: list[Numbers], bytes_a_pixel: float) -> None:
    short = bits((0, 3), (1, 1), (1, 1), (0, 5), *sizes(64, 48, 16), *([(0, 3), (0, 3), *colours] if colours else []))
    assert coded_pictures(avif(unit(short) + unit(b"", 6))).plane_bytes == 64 * 48 * bytes_a_pixel


def test_the_first_picture_of_a_film_is_found() -> None:
    file = io.BytesIO()
    frames = [draw_photo("grass", seed, (96, 64)) for seed in range(3)]
    frames[0].save(file, "AVIF", save_all=True, append_images=frames[1:])
    assert set(coded_pictures(file.getvalue()).sizes) == {(96, 64)}
    assert decode(file.getvalue(), SPEC).shape == (32, 32, 3)
    with pytest.raises(ImageTooLarge, match="96 x 64"):
        decode(file.getvalue(), SPEC, limits=PhotoLimits(max_pixels=96 * 64 - 1))


def test_a_picture_that_is_larger_than_it_says_is_refused() -> None:
    data = photo(format="AVIF", size=(200, 160))
    at = data.index(b"ispe") + 8
    lie = data[:at] + struct.pack(">II", 8, 8) + data[at + 8 :]
    with Image.open(io.BytesIO(lie)) as opened:
        assert opened.size == (8, 8)
    with pytest.raises(ImageTooLarge, match="the photo has 200 x 160 pixels, more"):
        decode(lie, SPEC, limits=PhotoLimits(max_pixels=8 * 8))
    assert decoding_cost(inspect(lie)) > 200 * 160 * 2  # its planes count, whatever it says


def test_pictures_that_are_too_large_together_are_refused() -> None:
    """A photo in five layers: each is decoded before one is shown."""
    data = photo(format="AVIF", size=(200, 160))
    at = data.index(b"\x12\0\x0a") + 2  # behind the temporal delimiter
    layers = plain(200, 160) + unit(bits(*FRAME), 6) * 5
    layered = data[:at] + layers + data[at + len(layers) :]
    with pytest.raises(
        ImageTooLarge, match="decoding the photo takes pictures of 0 megapixels, more than the 0 accepted"
    ):
        decode(layered, SPEC, limits=PhotoLimits(max_pixels=200 * 160))


@pytest.mark.parametrize(
    "data",
    [
        *(avif(still(640, 480), iloc=version, infe=infe) for version in (0, 1, 2) for infe in (2, 3)),
        avif(still(640, 480), iloc=1, within=True),
        avif(still(640, 480), wide=True),
        avif(still(640, 480), extents=3),
        avif(plain(640, 480, *FRAME)),
        avif(still(640, 480)) + b"\0\0\0\3junk",
        avif(still(640, 480)) + film(kind=b"avc1"),
        with_tables(still(640, 480)),
        with_tables(still(640, 480), wide=True, same_size=True),
    ],
)
def test_a_picture_is_found_wherever_it_lies(data: bytes) -> None:
    assert coded_pictures(data)[:2] == ([(640, 480)], 640 * 480)


@pytest.mark.parametrize(
    ("frame", "pixels"),
    [
        (FRAME, 640 * 480),
        (RESIZED, 1 << 20),
        ([(0, 1), (3, 2), SHOWN, (0, 3), (0, 16)], 1 << 20),  # one that switches always has a size of its own
        ([(0, 1), (1, 2), (0, 1), (0, 1), (0, 1), (0, 1), (1, 1), (1, 1), (0, 1), (0, 16)], 640 * 480),
        ([(1, 1), (0, 16)], 0),  # one that is there already is shown
    ],
)
def test_the_size_of_frames_is_theirs(frame: list[Numbers], pixels: int) -> None:
    assert coded_pictures(avif(plain(640, 480, *frame, width_bits=10))).pixels == pixels


def test_a_film_before_the_picture_counts() -> None:
    """libavif may take it, where the first brand is neither."""
    film_first = FTYP + film(STCO, STSZ)[len(FILM) :] + avif(still(640, 480))[len(FTYP) :]
    with pytest.raises(ValueError, match="a picture of it has no header"):  # what STCO points at is none
        coded_pictures(film_first)


def test_a_sequence_header_with_all_that_one_can_have_is_read() -> None:
    timing = [(7, 32), (8, 32), (0, 1)]  # no equal intervals
    model = [(1, 1), (9, 5), (3, 32), (4, 5), (5, 5)]
    points = [(1, 5), *[(1, 12), (9, 5), (0, 1), (1, 1), (0, 21), (1, 1), (2, 4)] * 2]
    tools = [(1, 1), (3, 4), (2, 3), (0, 7), (1, 1), (0, 2), (0, 1), (1, 1), (0, 1), (1, 1)]
    header = [(0, 3), (0, 1), (0, 1), (1, 1), *timing, *model, (1, 1), *points, *sizes(640, 480, 10), *tools]
    frame = [(0, 1), KEY, SHOWN, (0, 6), (0, 1), (0, 8)]
    for own, pixels in ((0, 640 * 480), (1, 1 << 20)):
        picture = unit(bits(*header)) + unit(bits(*frame, (own, 1), (0, 16)), 3)
        assert coded_pictures(avif(picture))[:2] == ([(640, 480)], pixels)
    equal = [(7, 32), (8, 32), (1, 1), (1, 3), (3, 2), (0, 1)]  # a number in Exp-Golomb, and no model
    header = [(0, 3), (0, 1), (0, 1), (1, 1), *equal, (0, 1), (0, 5), (0, 12), (3, 5), *sizes(640, 480, 10), (0, 13)]
    assert coded_pictures(avif(unit(bits(*header)))).sizes == [(640, 480)]


def test_every_sequence_header_counts() -> None:
    assert coded_pictures(avif(still(64, 48) + still(640, 480)))[:2] == ([(64, 48), (640, 480)], 64 * 48 + 640 * 480)


def nested(depth: int) -> bytes:
    content = b""
    for _ in range(depth):
        content = box(b"trak", content)
    return FILM + box(b"moov", content)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (avif(b""), "a picture of it has no header"),
        (avif(unit(b"", 2) * 20), "a picture of it has no header"),
        (avif(still(64, 48) + unit(b"", 2) * MAX_READS), "too many parts"),
        (avif(still(64, 48)[:6]), "it ends too soon"),
        (avif(unit(b"")[:1] + b"\xff" * 20), "the size of a part cannot be read"),
        (avif(still(64, 48), extents=2, length=1000), "its parts overlap"),
        (FTYP, "it holds no AV1 picture"),
        (FTYP + b"\0\0\0\3meta", "does not fit"),
        (FTYP + b"\0\0\0\x08free" * MAX_READS, "too many parts"),
        (nested(9), "nested too deep"),
        (film(STCO, STCO, STSZ), "two tables for one thing"),
        (film(STCO, box(b"co64", bytes(16)), STSZ), "a film of it cannot be found"),
        (film(STCO, STSZ, STSZ), "two tables for one thing"),
        (film(STCO), "a film of it cannot be found"),
    ],
)
def test_what_cannot_be_found_is_said(data: bytes, reason: str) -> None:
    with pytest.raises((ValueError, IndexError), match=reason):
        coded_pictures(data)


def test_damage_is_refused_and_nothing_else() -> None:
    whole = photo(format="AVIF", size=(64, 48))
    generator = np.random.default_rng(0)
    for _ in range(500):
        damaged: Any = bytearray(whole)
        for at in generator.integers(0, 400, 3):
            damaged[at] = generator.integers(0, 256)
        for data in (bytes(damaged), whole[: generator.integers(0, len(whole))]):
            with suppress(ValueError, IndexError):
                coded_pictures(data)
    with pytest.raises(CorruptImage):
        inspect(whole[:200])
