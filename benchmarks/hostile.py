"""Requests that nobody sends by accident, and many that somebody does: the same ones again for the same seed."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from PIL import Image

from benchmarks.photos import THUMBNAIL, draw_jpeg
from runtime.image import FORMATS

PATH = "/predict"
_JPEG = b"image/jpeg"
_BOUNDARY = b"----dandelion"
_GIANT = 30_000


class Attack(NamedTuple):
    """What is written to a connection. `answered` is whether an answer is owed: not to one who hangs up.

    `reset` is to hang up the rude way, without a word of farewell.
    """

    kind: str
    request: bytes
    answered: bool = True
    reset: bool = False


def attacks(seed: int, originals: Sequence[bytes] | None = None) -> Callable[[int], Attack]:
    """The attack of each number; `originals` are whole photos to damage, drawn ones of every format if not given."""
    photos = list(originals or draw_originals())

    def attack(number: int) -> Attack:
        chance = random.Random(f"{seed} {number}")  # noqa: S311
        kind = chance.choices(list(_KINDS), weights=[weight for weight, _ in _KINDS.values()])[0]
        return _KINDS[kind][1](kind, chance, photos)

    return attack


def good_request() -> Attack:
    """One that must be answered with 200, in between."""
    return _post("good photo", draw_jpeg(THUMBNAIL, 0))


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


# One damaged photo each.


def _damage(chance: random.Random, photos: Sequence[bytes]) -> bytes:
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


# Bombs: small to send, large to unpack.


def _bomb(chance: random.Random, photos: Sequence[bytes]) -> bytes:
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


def _polyglot(chance: random.Random, photos: Sequence[bytes]) -> bytes:
    """Two files in one."""
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


# Requests around them.


def _post(kind: str, body: bytes, *headers: tuple[bytes, bytes], content_type: bytes = _JPEG) -> Attack:
    lines = [f"POST {PATH} HTTP/1.1".encode(), b"Host: localhost", b"Connection: close"]
    lines += [b"Content-Type: " + content_type] if content_type else []
    lines += [name + b": " + value for name, value in (headers or ((b"Content-Length", str(len(body)).encode()),))]
    return Attack(kind, b"\r\n".join(lines) + b"\r\n\r\n" + body)


def _form(body: bytes, chance: random.Random) -> tuple[bytes, bytes]:
    """A well-formed form around a photo, and its content type."""
    name = chance.choice(
        (b"photo.jpg",) * 12 + (b"", b"../../etc/passwd", b"a" * 5000, b'"; name="other', "żółć.png".encode())
    )
    head = b'Content-Disposition: form-data; name="file"; filename="' + name + b'"\r\nContent-Type: image/jpeg\r\n\r\n'
    form = b"--" + _BOUNDARY + b"\r\n" + head + body + b"\r\n--" + _BOUNDARY + b"--\r\n"
    return form, b"multipart/form-data; boundary=" + _BOUNDARY


def _mutated(kind: str, chance: random.Random, photos: Sequence[bytes]) -> Attack:
    body = _damage(chance, photos)
    if chance.random() < 0.3:
        form, content_type = _form(body, chance)
        return _post(kind, form, content_type=content_type)
    return _post(
        kind, body, content_type=chance.choice((_JPEG, b"image/png", b"image/webp", b"application/octet-stream"))
    )


def _bombs(kind: str, chance: random.Random, photos: Sequence[bytes]) -> Attack:
    return _post(kind, _bomb(chance, photos))


def _polyglots(kind: str, chance: random.Random, photos: Sequence[bytes]) -> Attack:
    return _post(kind, _polyglot(chance, photos))


def _random(kind: str, chance: random.Random, _: Sequence[bytes]) -> Attack:
    magic = chance.choice(
        (
            b"",
            b"\xff\xd8\xff",
            b"\x89PNG\r\n\x1a\n",
            b"RIFF\xff\xff\0\0WEBPVP8 ",
            b"\0\0\0\x1cftypavif",
            b"\0\0\0\x18ftypheic",
        )
    )
    return _post(kind, magic + chance.randbytes(chance.choice((0, 10, 3000, 200_000))))


def _wrong_headers(kind: str, chance: random.Random, photos: Sequence[bytes]) -> Attack:
    photo = chance.choice(photos)
    length = (b"Content-Length", str(len(photo)).encode())
    content_type = chance.choice(
        (
            b"",
            b"/",
            b"\xff\xfe",
            b"text/html",
            b"image/",
            b"image/" + b"x" * 8000,
            b"IMAGE/JPEG",
            b"image/jpeg; charset=utf-7",
            b"application/json",
            b"application/x-www-form-urlencoded",
            b"multipart/mixed",
        )
    )
    extra = chance.choice(
        (
            (b"Content-Encoding", b"gzip"),
            (b"X-" + b"n" * 200, b"v" * 4000),
            (b"Expect", b"100-continue"),
            (b"Range", b"bytes=0-1"),
            (b"Accept", b"\xff\xff"),
            (b"Upgrade", b"websocket"),
            (b"Cookie", b"=;;=" * 500),
        )
    )
    return _post(kind, photo, length, extra, content_type=content_type)


def _broken_forms(kind: str, chance: random.Random, photos: Sequence[bytes]) -> Attack:
    form, content_type = _form(chance.choice(photos), chance)
    text = b"--" + _BOUNDARY + b'\r\nContent-Disposition: form-data; name="x"\r\n'
    broken = chance.choice(
        (
            (form[: chance.randrange(len(form))], content_type),
            (form, b"multipart/form-data"),
            (form, b"multipart/form-data; boundary="),
            (form, b"multipart/form-data; boundary=" + b"b" * 5000),
            (form, b"multipart/form-data; boundary=other"),
            (form, b'multipart/form-data; boundary="' + _BOUNDARY),
            (form, b"multipart/form-data; boundary=\xff\xfe"),
            (form.replace(b'name="file"', b'name="photo"'), content_type),
            (form.replace(b'name="file"', b""), content_type),
            (form.replace(b"\r\n", b"\n"), content_type),
            (form.replace(b"form-data", b"\xff\xfe\x00"), content_type),
            (form.replace(b"image/jpeg", b"text/plain; charset=nonsense"), content_type),
            (form.replace(b'filename="', b"filename*=utf-8''%ff%fe%"), content_type),
            (text + b"Content-Type: text/plain; charset=utf-16\r\n\r\n\xff\r\n" + form, content_type),
            ((text + b"\r\n1\r\n") * 3000 + form, content_type),
            (b"--" + _BOUNDARY + b"\r\n" + b"A: b\r\n" * 3000 + b"\r\n\r\n" + form, content_type),
            (form * 50, content_type),
            (b"\r\n" * 5000 + form, content_type),
            (chance.randbytes(2000), content_type),
            (b"", content_type),
        )
    )
    return _post(kind, broken[0], content_type=broken[1])


def _cut_streams(kind: str, chance: random.Random, photos: Sequence[bytes]) -> Attack:
    photo = chance.choice(photos)
    if chance.random() < 0.3:
        form, content_type = _form(photo, chance)
        whole = _post(kind, form, content_type=content_type).request
    else:
        whole = _post(kind, photo).request
    return Attack(kind, whole[: chance.randrange(1, len(whole))], answered=False, reset=chance.random() < 0.5)


def _garbage(kind: str, chance: random.Random, photos: Sequence[bytes]) -> Attack:
    """What is no HTTP, or nearly; whoever sends it is owed nothing but must not hurt."""
    photo = chance.choice(photos)
    start = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: image/jpeg\r\n".encode()
    request = chance.choice(
        (
            chance.randbytes(chance.choice((1, 100, 5000))),
            photo,
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + chance.randbytes(50),
            b"\x16\x03\x01\x02\x00\x01\x00" + chance.randbytes(200),  # TLS
            b"GET " + b"/a" * 50_000 + b" HTTP/1.1\r\n\r\n",
            b"POST /predict\r\n\r\n",
            b"\r\n" * 1000,
            start + b"Content-Length: -1\r\n\r\n" + photo,
            start + b"Content-Length: 99999999999999999999\r\n\r\n" + photo,
            start + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n" + photo,
            start + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            start + b"Transfer-Encoding: chunked\r\n\r\nzzz\r\n" + photo,
            start + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n" + photo,
            start + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n" + b"a: b\r\n" * 200 + b"\r\n",
            start + b"A: " + b"a" * 200_000 + b"\r\n\r\n",
            start + b"N: 1\r\n" * 5000 + b"\r\n",
            start + b"No colon at all\r\n\r\n",
            b"GET /docs/../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            b"GET /docs/assets/%2e%2e%2fapp.py HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            b"GET /%00%ff%fe?\xff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            b"BREW /predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            b"POST /predict HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n",
        )
    )
    return Attack(kind, request, answered=False)


_Kind = Callable[[str, random.Random, Sequence[bytes]], Attack]
_KINDS: Mapping[str, tuple[float, _Kind]] = {
    "mutated photos": (50, _mutated),
    "bombs": (8, _bombs),
    "polyglots": (8, _polyglots),
    "random bytes": (8, _random),
    "wrong headers": (6, _wrong_headers),
    "broken forms": (8, _broken_forms),
    "cut streams": (6, _cut_streams),
    "no HTTP": (6, _garbage),
}


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
