"""Fuzzing of photos: mutations, decompression bombs and polyglots, reproducible from a seed."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Sequence

from PIL import Image

from benchmarks.contenders.photos import THUMBNAIL, draw_jpeg
from runtime.image import FORMATS

_GIANT = 30_000  # px a side


def draw_originals() -> list[bytes]:
    """Whole photos of every accepted format, and of the kinds within it that decoders treat differently."""
    photo = Image.open(io.BytesIO(draw_jpeg(THUMBNAIL, 0)))
    half = photo.copy()
    half.putalpha(photo.convert("L"))
    deep = photo.convert("L").convert("I;16")
    exif = Image.Exif()
    exif[0x0112] = 6
    others = [photo.rotate(90 * turn) for turn in (1, 2)]
    drawn = [
        _encode(photo, "JPEG", exif=exif),
        _encode(photo, "JPEG", progressive=True),
        _encode(photo.convert("L"), "JPEG"),
        _encode(photo.convert("CMYK"), "JPEG"),
        _encode(photo, "MPO", save_all=True, append_images=others),
        _encode(photo, "PNG", exif=exif),
        _encode(half, "PNG"),
        _encode(photo.quantize(32), "PNG", transparency=3),
        _encode(deep, "PNG"),
        _encode(photo.convert("1"), "PNG"),
        _encode(photo.resize((64, 64)), "PNG", save_all=True, append_images=[o.resize((64, 64)) for o in others]),
        _encode(photo, "WEBP", exif=exif),
        _encode(half, "WEBP", lossless=True),
        _encode(photo, "WEBP", save_all=True, append_images=others),
    ]
    if "AVIF" in FORMATS:
        drawn += [_encode(photo, "AVIF", exif=exif, speed=10), _encode(half, "AVIF", speed=10)]
    if "HEIF" in FORMATS:
        drawn += [_encode(photo, "HEIF", exif=exif.tobytes())]
    return drawn


def mutate(chance: random.Random, photos: Sequence[bytes]) -> bytes:
    """One of the photos, damaged in up to five places: flipped bits, cuts, splices, wrong lengths, repeats, blanks."""
    data = bytearray(chance.choice(photos))
    for _ in range(chance.choice((1, 1, 2, 5))):
        chance.choice(_DAMAGES)(data, chance, photos)
    return bytes(data)


def _flip_bits(data: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    reach = len(data) if chance.random() < 0.5 else min(len(data), 400)  # half of them in the header
    for _count in range(chance.choice((1, 4, 64))):
        data[chance.randrange(reach)] ^= 1 << chance.randrange(8)


def _cut_short(data: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    del data[chance.randrange(1, len(data)) :]
    data += b"\0"  # never empty


def _splice(data: bytearray, chance: random.Random, photos: Sequence[bytes]) -> None:
    other = chance.choice(photos)
    at = chance.randrange(len(data))
    data[at:] = other[chance.randrange(len(other)) :] or b"\0"


def _stretch_length(data: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    """Overwrite a number that may be a length, most often in the header, with one that cannot be right."""
    width = chance.choice((1, 2, 3, 4, 8))
    at = chance.randrange(min(len(data), chance.choice((64, 600, len(data)))))
    value = chance.choice((0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1))
    order = chance.choice((">", "<"))
    data[at : at + width] = (
        struct.pack(order + "Q", value)[-width:] if order == ">" else struct.pack("<Q", value)[:width]
    )


def _repeat_part(data: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    at = chance.randrange(len(data))
    part = data[at : at + chance.choice((2, 16, 300))]
    data[at:at] = part * chance.choice((1, 3, 200))


def _blank_part(data: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    at = chance.randrange(len(data))
    end = min(len(data), at + chance.choice((4, 100, 4000)))
    data[at:end] = bytes([chance.choice((0, 0xFF))]) * (end - at)


_DAMAGES = (_flip_bits, _flip_bits, _cut_short, _splice, _stretch_length, _stretch_length, _repeat_part, _blank_part)


def bomb(chance: random.Random, photos: Sequence[bytes]) -> bytes:
    """A decompression bomb: small to send, large to unpack."""
    return chance.choice(_BOMBS)(chance, photos)


def _giant_png(chance: random.Random, _: Sequence[bytes]) -> bytes:
    bits, colour = chance.choice(((8, 2), (16, 6), (1, 0), (8, 3), (16, 0)))
    size = chance.choice(((_GIANT, _GIANT), (2**31 - 1, 2**31 - 1), (2**31 - 1, 1), (1, 2**31 - 1), (0, 0)))
    return _png(size, bits, colour, zlib.compress(bytes(10_000)))


def _endless_pixels_png(chance: random.Random, _: Sequence[bytes]) -> bytes:
    """Data for thousands of times the picture, or for a thousandth of it."""
    side = chance.choice((1, 64, 2000))
    return _png((side, side), 8, 2, zlib.compress(bytes(chance.choice((1000, 20_000_000))), 9))


def _unpacking_png(chance: random.Random, _: Sequence[bytes]) -> bytes:
    kind = chance.choice((b"iCCP", b"zTXt", b"iTXt"))
    body = b"name\0" + (b"\1\0\0\0" if kind == b"iTXt" else b"\0") + zlib.compress(bytes(30_000_000), 9)
    return _png((8, 8), 8, 0, zlib.compress(bytes(72)), *[(kind, body)] * chance.choice((1, 20)))


def _many_chunks_png(chance: random.Random, _: Sequence[bytes]) -> bytes:
    return _png((8, 8), 8, 0, zlib.compress(bytes(72)), *[(b"prVt", b"")] * chance.choice((10, 20_000)))


def _giant_jpeg(chance: random.Random, photos: Sequence[bytes]) -> bytes:
    data = bytearray(next(photo for photo in photos if photo.startswith(b"\xff\xd8")))
    frame = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
    if frame > 0:
        data[frame + 5 : frame + 9] = struct.pack(
            ">HH", *chance.choice(((65535, 65535), (65535, 1), (0, 100), (8000, 8000)))
        )
    return bytes(data)


def _many_segments_jpeg(chance: random.Random, photos: Sequence[bytes]) -> bytes:
    data = next(photo for photo in photos if photo.startswith(b"\xff\xd8"))
    segment = chance.choice(
        (b"\xff\xe3\0\2", b"\xff\xfe\0\2", b"\xff\xe1\0\x0aExif\0\0", b"\xff\xe2\0\x10ICC_PROFILE\0\1\1")
    )
    return data[:2] + segment * chance.choice((900, 50_000)) + data[2:]


def _many_scans_jpeg(chance: random.Random, _: Sequence[bytes]) -> bytes:
    data = _encode(Image.new("RGB", (chance.choice((64, 1500)),) * 2), "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + scan * chance.choice((50, 2000)) + b"\xff\xd9"


def _giant_webp(chance: random.Random, photos: Sequence[bytes]) -> bytes:
    data = bytearray(next(photo for photo in photos if photo[8:12] == b"WEBP"))
    data[20:30] = struct.pack("<I", 0x10) + (b"\xff\x3f\0" * 2 if chance.random() < 0.5 else b"\xff\xff\xff" * 2)
    return bytes(data)


def _giant_ispe(chance: random.Random, photos: Sequence[bytes]) -> bytes:
    """AVIF and HEIC keep the size in a box of their own."""
    boxed = [photo for photo in photos if b"ispe" in photo]
    if not boxed:
        return _giant_png(chance, photos)
    data = bytearray(chance.choice(boxed))
    at = data.index(b"ispe") + 8
    data[at : at + 8] = struct.pack(">II", *chance.choice(((_GIANT, _GIANT), (2**32 - 1, 2**32 - 1), (1, 1), (0, 0))))
    return bytes(data)


def _overlapping_exif(chance: random.Random, photos: Sequence[bytes]) -> bytes:
    """Thousands of tags that all claim the same bytes."""
    count = chance.choice((10, 3000))
    entries = b"".join(struct.pack("<HHII", 0x8000 + number, 1, 20_000, 8) for number in range(count))
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", count) + entries + bytes(20_000)
    data = next(photo for photo in photos if photo.startswith(b"\xff\xd8"))
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]


_BOMBS = (
    _giant_png,
    _endless_pixels_png,
    _unpacking_png,
    _many_chunks_png,
    _giant_jpeg,
    _many_segments_jpeg,
    _many_scans_jpeg,
    _giant_webp,
    _giant_ispe,
    _overlapping_exif,
)


def polyglot(chance: random.Random, photos: Sequence[bytes]) -> bytes:
    """A polyglot: two files in one."""
    photo, other = chance.choice(photos), chance.choice(photos)
    return chance.choice(
        (
            photo + other,
            photo + b"PK\x03\x04" + chance.randbytes(500),
            b"GIF89a" + photo,
            b"%PDF-1.7\n" + photo,
            b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>" + photo,
            photo[:16] + other,
            photo[:2] + b"\xff\xfe\x00\x20<script>alert(document.domain)" + photo[2:],
            b"\x00\x00\x00\x18ftypheic\0\0\0\0mif1avif" + photo,
        )
    )


def _encode(image: Image.Image, format_: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format_, **options)
    return stream.getvalue()


def _png(size: tuple[int, int], bits: int, colour: int, packed: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    header = (b"IHDR", struct.pack(">IIBBBBB", *size, bits, colour, 0, 0, 0))
    every = (header, *chunks, (b"IDAT", packed), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in every
    )
