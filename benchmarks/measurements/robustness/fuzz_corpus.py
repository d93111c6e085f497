"""Fuzz corpus: malformed and abusive requests, reproducible from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from benchmarks.contenders.photos import THUMBNAIL, draw_jpeg
from benchmarks.measurements.robustness.fuzz_photos import bomb, draw_originals, mutate, polyglot
from benchmarks.measurements.robustness.fuzz_wire import HALF_CLOSED, WIRE_KINDS

PATH = "/predict"
_JPEG = b"image/jpeg"
_BOUNDARY = b"----dandelion"


class Attack(NamedTuple):
    """What is written to a connection. `answered` is whether an answer is owed: not to one who hangs up.

    `reset` is to hang up the rude way, without a word of farewell; `half_closed` to end the sending side and read on.
    """

    kind: str
    request: bytes
    answered: bool = True
    reset: bool = False
    half_closed: bool = False


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
    body = mutate(chance, photos)
    if chance.random() < 0.3:
        form, content_type = _form(body, chance)
        return _post(kind, form, content_type=content_type)
    return _post(
        kind, body, content_type=chance.choice((_JPEG, b"image/png", b"image/webp", b"application/octet-stream"))
    )


def _bombs(kind: str, chance: random.Random, photos: Sequence[bytes]) -> Attack:
    return _post(kind, bomb(chance, photos))


def _polyglots(kind: str, chance: random.Random, photos: Sequence[bytes]) -> Attack:
    return _post(kind, polyglot(chance, photos))


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
    """No HTTP, or nearly: its sender is owed no answer, and must do no harm."""
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


def _wire(kind: str, chance: random.Random, photos: Sequence[bytes]) -> Attack:
    request = WIRE_KINDS[kind](chance, photos)
    return Attack(kind, request, half_closed=kind == HALF_CLOSED)


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
    **dict.fromkeys(WIRE_KINDS, (3, _wire)),
}
