"""Fuzzing of the wire: valid requests in unusual framing, and refused ones that arrive late, large or many at once.

Each is owed an answer; all close their connection.
"""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache

from PIL import Image

from benchmarks.load_generator.raw_requests import BOUNDARY, form_body

MODEL = "dandelion-classifier"
HALF_CLOSED = "half-closed clients"
_LARGE = 2 * 2**20  # bytes: more than the buffers of a socket hold
_ONE_COLOUR_PX = 256  # a side: they are many, not large
_FORM = f"multipart/form-data; boundary={BOUNDARY}"
_UPGRADES = (
    ("Connection: close, Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"),
    ("Connection: Upgrade, close", "Upgrade: TLS/1.2"),
    ("Connection: close, upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"),
)


def _request(
    path: str, body: bytes, *headers: str, content_type: str = "image/jpeg", method: str = "POST", host: str = "x"
) -> bytes:
    """A request with its length; `headers` may hold another framing, or another Connection."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *headers]
    lines += [f"Content-Type: {content_type}"] if body else []
    if not _given(headers, "connection"):
        lines.append("Connection: close")
    if not _given(headers, "content-length", "transfer-encoding"):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def _given(headers: Iterable[str], *names: str) -> bool:
    return any(header.split(":", 1)[0].lower() in names for header in headers)


def _chunked(body: bytes, size: int) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)


def _upgrade(chance: random.Random, photos: Sequence[bytes]) -> bytes:
    """An upgrade offered, with a body of known or unknown length, or none."""
    offer = chance.choice(_UPGRADES)
    photo = chance.choice(photos)
    body, headers, content_type = chance.choice(
        (
            (b"", (), ""),
            (photo, (), "image/jpeg"),
            (form_body([photo], "file"), (), _FORM),
            (_chunked(photo, 1000) + b"0\r\n\r\n", ("Transfer-Encoding: chunked",), "image/jpeg"),
        )
    )
    method, path = ("POST", "/predict") if body else ("GET", chance.choice(("/health", "/docs", "/nowhere")))
    return _request(path, body, *offer, *headers, content_type=content_type, method=method)


def _early_refusal(chance: random.Random, _: Sequence[bytes]) -> bytes:
    """A large body, or the announcement of one, that is refused before it has come."""
    path, content_type = chance.choice(
        (("/nowhere", "image/jpeg"), ("/predict", "text/plain"), ("/models/pin", "application/json"))
    )
    length = chance.choice((f"Content-Length: {_LARGE}", "Content-Length: 900000000"))
    return _request(path, bytes(_LARGE), length, content_type=content_type)


def _expect(chance: random.Random, photos: Sequence[bytes]) -> bytes:
    body, content_type = chance.choice(((chance.choice(photos), "image/jpeg"), (bytes(_LARGE), "text/plain")))
    expected = chance.choice(("100-continue", "100-Continue", "200-ok", ""))
    return _request("/predict", body, f"Expect: {expected}", content_type=content_type)


def _half_closed(chance: random.Random, photos: Sequence[bytes]) -> bytes:
    """A whole request; or half of one, or a refused one."""
    photo = chance.choice(photos)
    whole = _request("/predict", photo)
    return chance.choice(
        (
            whole,
            whole,
            _request("/predict", form_body([photo], "file"), content_type=_FORM),
            _request("/predict", _chunked(photo, 700) + b"0\r\n\r\n", "Transfer-Encoding: chunked"),
            _request("/predict", bytes(_LARGE), content_type="text/plain"),
            whole[:-10],
        )
    )


def _large_head(chance: random.Random, photos: Sequence[bytes]) -> bytes:
    size = chance.choice((64 * 1024, 100_000, 1_000_000))
    lines = chance.choice(
        (
            ["X-Long: " + "a" * size],
            [f"X-{number}: {'b' * 90}" for number in range(size // 100)],
            ["Cookie: " + "c=d; " * (size // 5)],
        )
    )
    return _request("/predict", chance.choice(photos), *lines)


def _endless_trailer(chance: random.Random, photos: Sequence[bytes]) -> bytes:
    """More trailers, or longer chunk extensions, than anybody reads; some end."""
    size = chance.choice((140_000, 300_000))
    photo = chance.choice(photos)
    start = _request("/predict", b"", "Transfer-Encoding: chunked", "Content-Type: image/jpeg")
    trailers = b"X-Trailer: %s\r\n" % (b"t" * 80) * (size // 93)
    return start + chance.choice(
        (
            _chunked(photo, 5000) + b"0\r\n" + trailers,
            _chunked(photo, 5000) + b"0\r\n" + trailers + b"\r\n",
            b"5;x=" + b"y" * size,
            _chunked(photo, 1)[:size] + b"0\r\n" + trailers,
        )
    )


def _pipelined(chance: random.Random, photos: Sequence[bytes]) -> bytes:
    """Requests in one go, good ones and refused ones, the last of which closes."""
    several = (
        _request("/predict", chance.choice(photos), "Connection: keep-alive"),
        _request("/health/live", b"", "Connection: keep-alive", method="GET"),
        _request("/nowhere", bytes(1000), "Connection: keep-alive"),
    )
    ahead = b"".join(chance.choice(several) for _ in range(chance.choice((2, 8, 40))))
    return ahead + _request("/health", b"", method="GET")


def _many_files(chance: random.Random, _: Sequence[bytes]) -> bytes:
    count = chance.choice((2, 128, 129))
    photos = [one_colour_webp(_ONE_COLOUR_PX)] * count
    return _request("/predict/batch", form_body(photos, "files"), content_type=_FORM)


@cache
def one_colour_webp(side: int) -> bytes:
    """A WebP of one colour, side x side px: a few dozen bytes, however large."""
    stream = io.BytesIO()
    Image.new("RGB", (side, side), (90, 140, 60)).save(stream, "WEBP", lossless=True, method=0)
    return stream.getvalue()


def _v2_json(chance: random.Random, _: Sequence[bytes]) -> bytes:
    """Tensors that are not what their shape says, nest, or hold what is no pixel."""
    shape = chance.choice(([1, 96, 96, 3], [1, 8, 8, 3], [128, 96, 96, 3], [2**62, 2, 2], [-1, 96, 96, 3], [], [0]))
    count = chance.choice((1, 96 * 96 * 3, 300_000))
    data = chance.choice(
        (
            "[" + ",".join(["7"] * count) + "]",
            "[" + ",".join(["[]"] * count) + "]",
            "[" * 5000 + "]" * 5000,
            "[" + ",".join(["1e999", "-1", "256", '"a"', "null", "{}"] * 50) + "]",
            "null",
        )
    )
    head = {"name": chance.choice(("pixels", "photo", "other")), "datatype": chance.choice(("UINT8", "BYTES", "FP64"))}
    tensor = json.dumps(head | {"shape": shape})[:-1] + f', "data": {data}}}'
    body = f'{{"inputs": [{tensor}]}}'.encode()
    more = chance.choice(((), (), (f"Inference-Header-Content-Length: {chance.choice((0, 10, 10**9, -1))}",)))
    return _request(f"/v2/models/{MODEL}/infer", body, *more, content_type="application/json")


def _foreign(chance: random.Random, photos: Sequence[bytes]) -> bytes:
    """From a page of somebody else, or to a name that is not ours."""
    names = ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", "[::1", "x" * 300, "")
    headers = [
        f"Origin: {chance.choice(('http://evil.example', 'null', 'file://', '', 'http://x' * 50))}",
        f"Sec-Fetch-Site: {chance.choice(('cross-site', 'same-site', 'none', 'nonsense'))}",
        f"X-Forwarded-Host: {chance.choice(names)}",
    ]
    given = chance.sample(headers, chance.randrange(len(headers) + 1))
    path = chance.choice(("/predict", "/predict", "/feedback", "/explain", "/models/rollback"))
    return _request(path, chance.choice(photos), *given, host=chance.choice(names))


def _wrong_key(chance: random.Random, photos: Sequence[bytes]) -> bytes:
    keys = ("", "a", "Bearer", "Bearer " + "k" * 5000, "Basic YTpi", "sha256:" + "0" * 64, "\xe9\xff", "Bearer \t")
    name = chance.choice(("Authorization", "X-API-Key"))
    path = chance.choice(("/predict", "/models/pin", "/models/rollback", "/models/x/load"))
    body = chance.choice((chance.choice(photos), b'{"version": "x"}'))
    return _request(path, body, *[f"{name}: {chance.choice(keys)}"] * chance.choice((1, 1, 3)))


WIRE_KINDS: Mapping[str, Callable[[random.Random, Sequence[bytes]], bytes]] = {
    "upgrades offered": _upgrade,
    "early refusals": _early_refusal,
    "100-continue": _expect,
    HALF_CLOSED: _half_closed,
    "large heads": _large_head,
    "endless trailers": _endless_trailer,
    "pipelining": _pipelined,
    "many files": _many_files,
    "V2 JSON": _v2_json,
    "foreign origins": _foreign,
    "wrong keys": _wrong_key,
}
