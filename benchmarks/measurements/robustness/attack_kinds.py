"""The attacks that honest clients are measured beside."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.contenders.confined import API, PAGE
from benchmarks.load_generator.raw_requests import BOUNDARY, form_of, post
from benchmarks.measurements.robustness.attackers import Attacker, Hold, Press
from benchmarks.measurements.robustness.fuzz_wire import MODEL, one_colour_webp
from benchmarks.measurements.robustness.giant_photos import giant_request

LATER, LATER_FOR_GIANTS = 3.0, 5.0  # times the p99 without the attack; the second on one CPU
HONEST_KEY = "the key of an honest client"
CLOSE = "Connection: close"
ONE_COLOUR_PX = 4618  # a side: the largest WebP at the default limit
BATCH = 128
LARGE = 20 * 2**20  # the largest body at the default limit
_START = "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
_HALF = b"GET /health HTTP/1.1\r\nHost: x\r\n"
_FORM = f"multipart/form-data; boundary={BOUNDARY}"
_DOCUMENT = "/docs/assets/swagger-ui-bundle.js"  # the largest answer there is

Photos = Mapping[str, bytes]


@dataclass(frozen=True)
class AttackKind:
    """One attack: its attackers, the program that it is aimed at, and what the honest clients' p99 may become.

    `attackers` makes them of the largest photos, of which only the attack that `needs_giants` makes use.
    `environment` is the appliance's; `headers` are those of honest requests.
    """

    attackers: Callable[[Photos], Sequence[Attacker]]
    module: str = API
    limit: float = LATER
    needs_giants: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    headers: Sequence[str] = ()


def _start(path: str, content_type: str, length: int) -> bytes:
    return _START.format(path=path, content_type=content_type, length=length).encode()


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n{CLOSE}\r\n\r\n".encode()


def _slow_uploads(_: Photos) -> Sequence[Attacker]:
    """Seven uploads at 9 KB/s that promise 128 MiB together."""
    openings = [_start("/predict", "image/jpeg", length) + b"\xff\xd8\xff" for length in [LARGE] * 6 + [8_388_600]]
    return [Hold(7, openings, bytes(9000))]


def _silent(_: Photos) -> Sequence[Attacker]:
    return [Hold(2500)]


def _half_heads(_: Photos) -> Sequence[Attacker]:
    return [Hold(1000, [_HALF], b"X-Drip: 1\r\n")]


def _endless_heads(_: Photos) -> Sequence[Attacker]:
    """Heads that grow as fast as they can, in lines and in one line."""
    lines, line = b"X-Endless: " + b"a" * 80 + b"\r\n", b"a" * 8192
    return [Hold(50, [_HALF], lines * 90, 0.1), Hold(50, [_HALF + b"X-Endless: "], line, 0.1)]


def _slow_readers(_: Photos) -> Sequence[Attacker]:
    asked = f"GET {_DOCUMENT} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * 8
    return [Hold(200, [asked], receive_buffer=2048)]


def _refused_uploads(_: Photos) -> Sequence[Attacker]:
    """As much as a gigabit a second carries."""
    return [Press([post("/predict", "text/plain", bytes(4 * 2**20), CLOSE)], 0.13)] * 4


def _one_colour(_: Photos) -> Sequence[Attacker]:
    return [Press([_batch()])] * 2


def _batch() -> bytes:
    whole = form_of("/predict/batch", [one_colour_webp(ONE_COLOUR_PX)] * BATCH, "files")
    return whole.replace(b"\r\n\r\n", f"\r\n{CLOSE}\r\n\r\n".encode(), 1)


def _large_json(_: Photos) -> Sequence[Attacker]:
    """Lists where numbers should be, and numbers that are too many."""
    start, end = b'{"inputs":[{"name":"pixels","datatype":"UINT8","shape":[1,96,96,3],"data":[', b"]}]}"
    room = LARGE - len(start) - len(end) - 10
    bodies = (start + part * (room // len(part)) + last + end for part, last in ((b"[],", b"[]"), (b"7,", b"7")))
    return [Press([post(f"/v2/models/{MODEL}/infer", "application/json", body, CLOSE)]) for body in bodies]


def _page_loads(_: Photos) -> Sequence[Attacker]:
    return [Press([_get("/")], 0.1)] * 2 + [Press([post("/", "text/plain", b"", CLOSE)], 0.05)] * 2


def _giants(photos: Photos) -> Sequence[Attacker]:
    requests = [giant_request(photo) for photo in photos.values()]
    return [Press(requests[first:] + requests[:first]) for first in range(4)]


def _guesses(_: Photos) -> Sequence[Attacker]:
    """Another key each time, on a route that asks for one and on one for administrators."""
    requests = [
        post(path, "image/jpeg", b"\xff\xd8\xff", f"X-API-Key: guess-{number}", CLOSE)
        for number in range(1000)
        for path in ("/predict", "/models/rollback")
    ]
    return [Press(requests)] * 8


def _dripping_forms(_: Photos) -> Sequence[Attacker]:
    part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'.encode()
    openings = [_start(path, _FORM, LARGE) + part for path in ("/predict", "/predict/batch")]
    return [Hold(100, openings, b"drip")]


ATTACKS: Mapping[str, AttackKind] = {
    "slow uploads": AttackKind(_slow_uploads),
    "silent connections": AttackKind(_silent),
    "half heads": AttackKind(_half_heads),
    "endless heads": AttackKind(_endless_heads),
    "slow readers": AttackKind(_slow_readers),
    "refused uploads": AttackKind(_refused_uploads),
    "dripping forms": AttackKind(_dripping_forms),
    "one-colour WebPs": AttackKind(_one_colour, limit=LATER_FOR_GIANTS),
    "giants": AttackKind(_giants, limit=LATER_FOR_GIANTS, needs_giants=True),
    "large JSON": AttackKind(_large_json),
    "page loads": AttackKind(_page_loads, module=PAGE),
    "key guessing": AttackKind(
        _guesses,
        environment={"DANDELION_API_KEYS": f"sha256:{hashlib.sha256(HONEST_KEY.encode()).hexdigest()}"},
        headers=(f"X-API-Key: {HONEST_KEY}",),
    ),
}
