"""What decoding really takes, measured in a child process for each kind of photo, and what is reckoned with."""

from __future__ import annotations

import io
import math
import os
import re
import struct
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

import pytest
from PIL import Image

from runtime.host.photo_limits import PhotoLimits, limits_for
from runtime.image import ImageSpec, ImageTooLarge, accepted_megapixels, check_limits, decode, decoding_cost, inspect
from runtime.image.avif import coded_pictures
from runtime.image.limits import check_cost
from tests.support.photos import QUICK, draw_photo, encode, photo
from tests.support.pictures.decoding import rise
from tests.support.pictures.large_photos import drawn, flat_jpeg, flat_png, kinds
from tests.support.suite.repeats import thorough_but

SPEC = ImageSpec(height=96, width=96)
SIZE = (2000, 2000)
PIXELS = SIZE[0] * SIZE[1]
# The process is measured by pages, and allocators round; a formula that is wrong by a copy is wrong by far more.
TOLERANCE, SLACK_BYTES = 0.03, 1_500_000
METADATA = 6_000_000

# To encode, which is not what is measured here, takes seconds of CPU otherwise.
QUICK_LOSSLESS = {"method": 0, "lossless": True, "quality": 0}

Make = Callable[[], bytes]


def textured(format: str, mode: str = "RGB", **options: object) -> bytes:
    """A photo with something everywhere, quickly made."""
    channels = len(Image.new(mode, (1, 1)).tobytes())
    small = Image.frombytes(mode, (32, 32), os.urandom(32 * 32 * channels))
    return encode(small.resize(SIZE, Image.Resampling.BILINEAR), format, **options)


def noise(format: str, **options: object) -> bytes:
    return encode(Image.frombytes("RGB", SIZE, os.urandom(3 * PIXELS)), format, **options)


def avif_of_10_bits(**options: object) -> bytes:
    """Pillow writes none: an AVIF whose header is made to say so, which decodes to other colours."""
    data = textured("AVIF", **options)
    plain = coded_pictures(data)
    start = data.index(b"\x0a", data.index(b"mdat")) + 2  # the sequence header
    twice = []
    for bit in range(8 * start + 5, 8 * (start + data[start - 1])):  # behind the profile
        changed = bytearray(data)
        changed[bit // 8] ^= 0x80 >> bit % 8
        with suppress(IndexError, ValueError):
            if coded_pictures(bytes(changed)) == plain._replace(plane_bytes=2 * plain.plane_bytes):
                twice.append(changed)
    _, deep, _ = twice  # that frames are scaled up, the depth, and grain
    deep[deep.index(b"av1C") + 6] |= 0x40
    at = deep.index(b"pixi") + 8
    deep[at + 1 : at + 1 + deep[at]] = bytes([10] * deep[at])
    return bytes(deep)


def heic(mode: str, chroma: int) -> bytes:
    """A HEIC of 10 bits."""
    import pillow_heif

    stream = io.BytesIO()
    samples = bytes(range(250)) * (2 * len(mode) * PIXELS // 250)
    pillow_heif.encode(f"{mode};16", SIZE, samples, stream, quality=40, chroma=chroma, **QUICK["HEIF"])
    return stream.getvalue()


def with_segments(marker: int, begin: bytes) -> bytes:
    """A JPEG with METADATA bytes of segments before the photo."""
    body = begin + os.urandom(60_000)
    segment = bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body
    return photo()[:2] + segment * (METADATA // 60_000) + photo()[2:]


def with_chunk(kind: bytes, body: bytes) -> bytes:
    data = photo(format="PNG")
    return (
        data[:33] + struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) + data[33:]
    )


EXIF = b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 0x9286, 7, METADATA, 26) + bytes(4) + os.urandom(METADATA)
PHOTOS: Mapping[str, Make] = {
    "baseline JPEG": partial(textured, "JPEG"),
    "baseline JPEG 4:4:4": partial(textured, "JPEG", subsampling=0),
    "grey JPEG": partial(textured, "JPEG", "L"),
    "CMYK JPEG": partial(textured, "JPEG", "CMYK"),
    "long JPEG": partial(flat_jpeg, 60_000, 190),  # too flat to be scaled down
    "sequential JPEG in three scans": partial(flat_jpeg, *SIZE, scans=3),
    "progressive JPEG": partial(textured, "JPEG", progressive=True),
    "progressive JPEG 4:4:4": partial(textured, "JPEG", progressive=True, subsampling=0),
    "progressive grey JPEG": partial(textured, "JPEG", "L", progressive=True),
    "progressive CMYK JPEG": partial(textured, "JPEG", "CMYK", progressive=True),
    "JPEG with other data": partial(with_segments, 0xE5, b""),
    "JPEG with EXIF": partial(with_segments, 0xE1, b"Exif\0\0"),
    "JPEG with ICC": partial(with_segments, 0xE2, b"ICC_PROFILE\0\1\x64"),
    "PNG": partial(flat_png, *SIZE),
    "interlaced PNG": partial(flat_png, *SIZE, interlaced=True),
    "PNG with alpha": partial(flat_png, *SIZE, colour=6),
    "PNG of 16 bits": partial(flat_png, *SIZE, bits=16),
    "interlaced PNG of 16 bits with alpha": partial(flat_png, *SIZE, bits=16, colour=6, interlaced=True),
    "grey PNG": partial(flat_png, *SIZE, colour=0),
    "grey PNG of 1 bit": partial(flat_png, *SIZE, bits=1, colour=0),
    "grey PNG of 16 bits": partial(flat_png, *SIZE, bits=16, colour=0),
    "grey PNG with alpha": partial(flat_png, *SIZE, colour=4),
    "wide PNG": partial(flat_png, 1_000_000, 2, colour=6),
    "tall PNG": partial(flat_png, 2, 1_000_000, colour=6),
    "animated PNG": partial(
        drawn, SIZE, "PNG", "RGBA", save_all=True, append_images=[Image.new("RGBA", SIZE)], disposal=1
    ),
    "PNG that is not compressed": partial(noise, "PNG", compress_level=0),
    "PNG with EXIF": partial(with_chunk, b"eXIf", EXIF),
    "PNG with other data": partial(with_chunk, b"prVt", os.urandom(METADATA)),
    "WebP": partial(textured, "WEBP", method=0),
    "WebP with alpha": partial(textured, "WEBP", "RGBA", method=0),
    "lossless WebP": partial(textured, "WEBP", **QUICK_LOSSLESS),
    "lossless WebP of noise": partial(noise, "WEBP", **QUICK_LOSSLESS),
    "animated WebP": partial(
        drawn, SIZE, "WEBP", method=0, save_all=True, append_images=[Image.new("RGB", SIZE, "red")]
    ),
    "WebP with EXIF": partial(encode, draw_photo("grass", 1), "WEBP", exif=EXIF),
    "AVIF": partial(textured, "AVIF"),
    "AVIF 4:4:4": partial(textured, "AVIF", subsampling="4:4:4"),
    "grey AVIF": partial(textured, "AVIF", "L", subsampling="4:0:0"),
    "AVIF with alpha": partial(textured, "AVIF", "RGBA"),
    "AVIF of 10 bits": avif_of_10_bits,
    "AVIF of 10 bits 4:4:4": partial(avif_of_10_bits, subsampling="4:4:4"),
    "AVIF with EXIF": partial(encode, draw_photo("grass", 1), "AVIF", exif=EXIF),
    "HEIC": partial(textured, "HEIF"),
    "HEIC 4:4:4": partial(textured, "HEIF", chroma=444),
    "HEIC 4:2:2 with alpha": partial(textured, "HEIF", "RGBA", chroma=422),
    "grey HEIC": partial(textured, "HEIF", "L"),
    "HEIC of 10 bits": partial(heic, "RGB", 420),
    "HEIC of 10 bits 4:4:4 with alpha": partial(heic, "RGBA", 444),
}

# What is reckoned as another kind is, with more or fewer samples for each pixel.
ALIKE = re.compile("4:4:4|4:2:2|CMYK|grey .*(JPEG|AVIF|HEIC)|(WebP|AVIF|HEIC) with alpha|of noise|tall")


@pytest.mark.parametrize("kind", thorough_but([kind for kind in PHOTOS if not ALIKE.search(kind)], PHOTOS))
def test_decoding_takes_what_is_reckoned(kind: str) -> None:
    """Not more; and not far less, where the pixels count: photos would be refused that could be answered."""
    data = PHOTOS[kind]()
    reckoned, taken = decoding_cost(inspect(data), SPEC), peak_bytes(data)
    assert taken <= reckoned * (1 + TOLERANCE) + SLACK_BYTES
    if not kind.endswith(("EXIF", "ICC", "other data")):
        assert reckoned < 1.3 * taken + 9_000_000  # some of it may be there already, free, when the process forks


def peak_bytes(data: bytes) -> int:
    """How far resident memory rises in a process that decodes a photo, and has decoded small ones before."""
    found = rise(data, SPEC.width, decoding_bytes=10**10)
    assert found.decoded == 1
    return found.peak


def test_a_spec_that_needs_no_scaling_makes_a_jpeg_dearer() -> None:
    header = inspect(flat_jpeg(4000, 4000))
    small, large = (decoding_cost(header, ImageSpec(height=side, width=side)) for side in (96, 1024))
    assert small < 2_000_000
    assert 16_000_000 < large < 80_000_000  # at half the size
    assert decoding_cost(header) > 64_000_000


@pytest.mark.parametrize("memory_mib", thorough_but((160, 4096), (160, 256, 512, 4096)))
def test_a_photo_at_the_limit_of_its_kind_is_accepted_and_a_larger_one_is_not(memory_mib: int) -> None:
    limits = limits_for(memory_mib * 2**20)
    most = accepted_megapixels(limits, SPEC)
    for name, kind, _ in kinds():
        assert most[kind] > 0, name
    side = math.isqrt(int(most["PNG"] * 1e6))
    check_cost(check_limits(inspect(flat_png(side, side)), limits), SPEC, limits)
    with pytest.raises(ImageTooLarge, match="megapixels"):
        decode(flat_png(side + 700, side + 700), SPEC, limits=limits)
    baseline = flat_jpeg(11_300, 11_300)
    assert decode(baseline, SPEC, limits=limits).shape == (96, 96, 3)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            partial(flat_jpeg, 2000, 2000, scans=3),
            "for a JPEG in several scans of its kind; scale it down, or save it as a base",
        ),
        (
            partial(photo, format="WEBP", size=(1200, 1000)),
            r"1200 x 1000 pixels, more than the 0.\d megapixels .* a WebP of",
        ),
        (
            partial(drawn, (1600, 1600), "AVIF", speed=10),
            r"the memory for decoding \(10 MB\) allows for an AVIF of its kind",
        ),
        (partial(with_chunk, b"prVt", os.urandom(METADATA)), "the photo has 6 MB of metadata, .*; export it without"),
    ],
)
def test_a_photo_that_takes_too_much_memory_is_told_the_limit_and_the_remedy(make: Make, said: str) -> None:
    with pytest.raises(ImageTooLarge, match=said):
        decode(make(), SPEC, limits=PhotoLimits(decoding_bytes=10_000_000))
