from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from functools import cache, partial

import pytest
from PIL import Image

from runtime.host.photo_limits import PhotoLimits
from runtime.serving.scheduling.decoding_work import HEAVY_COST, decoding_work, is_light, light_cost, request_work
from tests.support.photos import draw_photo, encode, photo
from tests.support.pictures.large_photos import flat_jpeg, flat_png

SIDE = 224
PHONE = (4000, 3000)
LIMITS, ANY = PhotoLimits(), PhotoLimits(10**9, 10**9, 10**11)


def plain(size: tuple[int, int], format: str, mode: str = "RGB", **options: object) -> bytes:
    return encode(Image.new("RGB", size, (90, 140, 60)).convert(mode), format, **options)


def in_three_scans(data: bytes) -> bytes:
    """A sequential JPEG whose first scan claims one component of three, as `jpegtran -scans` writes them."""
    at = data.index(b"\xff\xda")
    return data[:at] + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + data[at + 14 :]


Make = Callable[[], bytes]
SMALL: Mapping[str, Make] = {
    "JPEG": photo,
    "phone": partial(flat_jpeg, *PHONE),
    "progressive": lambda: encode(draw_photo("grass", 0, (640, 480)), progressive=True),
    "PNG": partial(photo, format="PNG"),
    "transparent PNG": partial(plain, (400, 400), "PNG", "RGBA"),
    "palette": partial(plain, (400, 400), "PNG", "P"),
    "grey": partial(plain, (400, 400), "PNG", "L"),
    "WebP": partial(photo, format="WEBP"),
    "lossless WebP": lambda: encode(draw_photo("grass", 0), "WEBP", lossless=True),
    "WebP with EXIF": lambda: encode(draw_photo("grass", 0), "WEBP", exif=Image.Exif().tobytes() or b"Exif\0\0"),
}
HEAVY: Mapping[str, Make] = {
    "JPEG of 400 megapixels": partial(flat_jpeg, 20_000, 20_000),
    "progressive": partial(plain, (4500, 4500), "JPEG", "L", progressive=True),
    "three scans": lambda: in_three_scans(flat_jpeg(6500, 6500)),
    "PNG": partial(flat_png, 4000, 4000),
    "grey PNG of more memory than time": partial(flat_png, 5200, 5200, colour=0),
    "WebP of more memory than time": partial(plain, (2400, 2400), "WEBP", method=0),
    "transparent PNG": partial(flat_png, 3000, 3000, colour=6),
    "WebP": partial(plain, (2600, 2600), "WEBP", method=0),
    "lossless WebP": partial(plain, (2600, 2600), "WEBP", lossless=True, method=0),
    "AVIF": partial(plain, (2700, 2700), "AVIF", speed=10),
}


@cache
def made(kind: str, *, heavy: bool) -> bytes:
    """One of SMALL or HEAVY: not when the tests are collected, since every worker collects them all."""
    return (HEAVY if heavy else SMALL)[kind]()


@pytest.mark.parametrize("kind", SMALL)
def test_a_small_photo_is_known_by_its_first_bytes_and_costs_the_same_as_by_its_whole_header(kind: str):
    data = made(kind, heavy=False)
    assert is_light(data, SIDE)
    assert light_cost(data, SIDE) == pytest.approx(decoding_work(data, SIDE, LIMITS), rel=0.25)


@pytest.mark.parametrize("kind", HEAVY)
def test_what_is_long_to_decode_is_heavy_however_few_its_bytes(kind: str):
    data = made(kind, heavy=True)
    assert not is_light(data, SIDE)
    assert sum(work.cost for work in request_work([data], SIDE, ANY)) > HEAVY_COST


def test_one_baseline_jpeg_of_a_phone_costs_a_fifteenth_of_the_same_as_webp():
    photos = flat_jpeg(*PHONE), plain(PHONE, "WEBP", method=0)
    jpeg, webp = (decoding_work(data, SIDE, LIMITS) for data in photos)
    assert webp / jpeg > 15


def test_a_jpeg_that_is_decoded_in_full_costs_more_than_one_that_is_scaled():
    data = plain((1000, 1000), "JPEG")
    costs = [decoding_work(data, side, LIMITS) for side in (96, 224, 480, 900)]
    assert costs == sorted(costs)
    assert costs[-1] > 5 * costs[0]


def test_what_is_refused_anyway_costs_nothing():
    for data in (b"", b"text", photo()[:10], plain((5000, 5000), "WEBP", method=0)):
        assert decoding_work(data, SIDE, LIMITS) == 0


def test_what_is_no_photo_is_refused_without_a_look_at_its_header():
    for data in (b"", b"text", b"GIF89a" + bytes(100), b"RIFF1234WAVE"):
        assert light_cost(data, SIDE) == 0
    assert light_cost(plain((400, 400), "AVIF", speed=10), SIDE) is None


def test_a_broken_header_is_never_light_by_accident_and_never_a_fault():
    chance = random.Random(0)  # noqa: S311
    small = [made(kind, heavy=False) for kind in ("phone", "PNG", "WebP")]
    for data in (*small, made("progressive", heavy=True)):
        for _ in range(300):
            damaged = bytearray(data[:400])
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            is_light(bytes(damaged[: chance.randrange(400)]), SIDE)
    for data in (b"\xff\xd8\xff", b"RIFF1234WEBP", b"\x89PNG\r\n\x1a\n", photo()[:30]):
        assert light_cost(data, SIDE) is None or data.startswith((b"\x89PNG", b"RIFF"))


def test_a_header_of_very_many_segments_is_not_walked_to_its_end():
    data = photo()
    assert not is_light(data[:2] + b"\xff\xfe\x00\x02" * 100_000 + data[2:], SIDE)
