"""AVIFs are as large as the AV1 data in them says, not as their headers do."""

from __future__ import annotations

import io
import struct
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from runtime.image import CorruptImage, ImageSpec, ImageTooLarge, decode, header
from runtime.image.av1 import MAX_READS, Coded, coded_pictures
from tests.photos import draw_photo, photo

SPEC = ImageSpec(height=32, width=32)


class Bits:
    """Writes numbers of any width one after the other."""

    def __init__(self) -> None:
        self._text = ""

    def add(self, *numbers: tuple[int, int]) -> Bits:
        """Each a value and its bits."""
        self._text += "".join(f"{value:0{width}b}" for value, width in numbers if width)
        return self

    def bytes(self) -> bytes:
        padded = self._text + "0" * (-len(self._text) % 8)
        return int(padded, 2).to_bytes(len(padded) // 8, "big")


def size_of(width: int, height: int, bits: int) -> list[tuple[int, int]]:
    return [(bits - 1, 4), (bits - 1, 4), (width - 1, bits), (height - 1, bits)]


def reduced(width: int, height: int) -> bytes:
    """The sequence header of a still picture."""
    return Bits().add((0, 3), (1, 1), (1, 1), (0, 5), *size_of(width, height, 16)).bytes()


def unit(content: bytes, kind: int = 1) -> bytes:
    return bytes([kind << 3 | 2, len(content)]) + content


def box(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I", 8 + len(content)) + kind + content


def avif(picture: bytes, extents: int = 1) -> bytes:
    """As little of an AVIF as one picture needs."""
    info = box(
        b"iinf",
        bytes(4),
        struct.pack(">H", 1),
        box(b"infe", bytes([2, 0, 0, 0]), struct.pack(">HH4s", 1, 0, b"av01"), b"\0"),
    )
    brand = box(b"ftyp", b"avif", bytes(4), b"avifmif1")

    def located(start: int) -> bytes:
        where = struct.pack(">II", start, len(picture)) * extents
        location = box(b"iloc", bytes(4), b"\x44\0", struct.pack(">HHHH", 1, 1, 0, extents), where)
        return brand + box(b"meta", bytes(4), info, location)

    return located(len(located(0)) + 8) + box(b"mdat", picture)


def nested(depth: int) -> bytes:
    content = b""
    for _ in range(depth):
        content = box(b"trak", content)
    return box(b"moov", content)


@pytest.mark.parametrize("size", [(64, 48), (1, 1), (300, 7)])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_ordinary_pictures_are_as_large_as_they_say(size: tuple[int, int], mode: str) -> None:
    image = draw_photo("grass", 1, (300, 300)).resize(size).convert(mode)
    if mode == "RGBA":
        image.putalpha(77)
    file = io.BytesIO()
    image.save(file, "AVIF")
    found = coded_pictures(file.getvalue())
    assert [(each.width, each.height) for each in found] == [size] * len(found)
    assert len(found) == (2 if mode == "RGBA" else 1)


def test_the_first_picture_of_a_film_is_found() -> None:
    file = io.BytesIO()
    frames = [draw_photo("grass", seed, (96, 64)) for seed in range(3)]
    frames[0].save(file, "AVIF", save_all=True, append_images=frames[1:])
    assert {(each.width, each.height) for each in coded_pictures(file.getvalue())} == {(96, 64)}
    assert decode(file.getvalue(), SPEC).shape == (32, 32, 3)
    with pytest.raises(ImageTooLarge, match="96 x 64"):
        decode(file.getvalue(), SPEC, max_pixels=96 * 64)


def test_a_picture_that_is_larger_than_it_says_is_refused() -> None:
    data = photo(format="AVIF", size=(200, 160))
    at = data.index(b"ispe") + 8
    lie = data[:at] + struct.pack(">II", 8, 8) + data[at + 8 :]
    with Image.open(io.BytesIO(lie)) as opened:
        assert opened.size == (8, 8)
    with pytest.raises(ImageTooLarge, match=r"the photo has 200 x 160 pixels, more .* accepted of a AVIF"):
        decode(lie, SPEC, max_pixels=2 * 8 * 8)


def test_sequence_headers_of_all_kinds_are_read() -> None:
    timing = [(7, 32), (8, 32), (1, 1), (1, 3), (3, 2)]  # with equal intervals, and a uvlc of two zeros
    model = [(1, 1), (9, 5), (3, 32), (4, 5), (5, 5)]
    points = [(1, 5), *[(1, 12), (9, 5), (0, 1), (1, 1), (0, 21), (1, 1), (2, 4)] * 2]
    full = Bits().add((0, 3), (0, 1), (0, 1), (1, 1), *timing, *model, (1, 1), *points, *size_of(640, 480, 10)).bytes()
    plain = Bits().add((0, 3), (0, 1), (0, 1), (0, 1), (0, 1), (0, 5), (0, 12), (3, 5), *size_of(640, 480, 10)).bytes()
    for written in (full, plain):
        assert coded_pictures(avif(unit(b"", 2) + unit(written))) == [Coded(640, 480, 1 << 20)]
    assert coded_pictures(avif(unit(reduced(640, 480)))) == [Coded(640, 480, 640 * 480)]
    assert coded_pictures(avif(unit(reduced(64, 48)) + unit(reduced(640, 480)))) == [Coded(640, 480, 640 * 480)]


def test_frames_that_may_be_larger_than_their_picture_are_refused() -> None:
    header = Bits().add((0, 3), (0, 1), (0, 1), (0, 1), (0, 1), (0, 5), (0, 12), (3, 5), *size_of(200, 160, 16)).bytes()
    data = photo(format="AVIF", size=(200, 160))
    at = data.index(b"\x12\0\x0a") + 2  # behind the temporal delimiter
    without_size = bytes([1 << 3]) + header  # up to the end
    with pytest.raises(CorruptImage, match="its frames may be larger than its picture"):
        decode(data[:at] + without_size + data[at + len(without_size) :], SPEC)


def test_a_picture_with_its_transparency_counts_twice_and_five_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    draw_photo("grass", 1, (100, 80)).convert("RGBA").save(file, "AVIF")
    assert decode(file.getvalue(), SPEC, max_pixels=2 * 100 * 80).shape == (32, 32, 3)
    monkeypatch.setattr(header, "coded_pictures", lambda _: [Coded(100, 80, 8000)] * 5)
    with pytest.raises(ImageTooLarge, match="the photo holds 5 pictures of 0 megapixels, more than the 0 accepted"):
        decode(file.getvalue(), SPEC, max_pixels=2 * 100 * 80)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (avif(b""), "a picture of it has no header"),
        (avif(unit(b"", 2) * 20), "a picture of it has no header"),
        (avif(unit(reduced(64, 48)) + unit(b"", 2) * MAX_READS), "too many parts"),
        (avif(unit(reduced(64, 48)) * 50, extents=60), "its parts overlap"),
        (avif(unit(reduced(64, 48))[:-2]), "it ends too soon"),
        (box(b"ftyp", b"avif", bytes(8)), "it holds no AV1 picture"),
        (box(b"ftyp", b"avif", bytes(8)) + b"\0\0\0\3meta", "does not fit"),
        (box(b"ftyp", b"avif", bytes(8)) + b"\0\0\0\x08free" * MAX_READS, "too many parts"),
        (nested(8), "nested too deep"),
    ],
)
def test_what_cannot_be_found_is_said(data: bytes, reason: str) -> None:
    with pytest.raises((ValueError, IndexError), match=reason):
        coded_pictures(data)


def test_damage_raises_nothing_else() -> None:
    whole = photo(format="AVIF", size=(64, 48))
    generator = np.random.default_rng(0)
    for _ in range(500):
        damaged = bytearray(whole)
        for at in generator.integers(0, 400, 3):
            damaged[at] = generator.integers(0, 256)
        for data in (bytes(damaged), whole[: generator.integers(0, len(whole))]):
            with suppress(ValueError, IndexError):
                coded_pictures(data)
