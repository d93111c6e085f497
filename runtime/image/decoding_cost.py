"""Decoding cost: the peak memory that decoding and resizing an encoded photo takes, from its header.

Measured with Pillow 13; `tests/runtime/image/test_decoding_cost.py` measures it again for every kind of photo.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from runtime.bundle.input import ImageSpec
from runtime.host.photo_limits import PhotoLimits
from runtime.image.flatten import REDUCING_GAP, STRIP_PIXELS
from runtime.image.formats import NAMES
from runtime.image.header import PhotoHeader
from runtime.image.jpeg.markers import coefficients, draft_scale

# Bytes that Pillow keeps for a pixel: 4 in all modes but these.
_STORED: Mapping[str, int] = {"1": 1, "L": 1, "P": 1, "I;16": 2}
ROW_BYTES = 16  # that Pillow takes for each row, beside its pixels
METADATA_COPIES = 4  # of profiles and texts, in Pillow and its parsers, at the most
_STRIP = 16  # bytes for each pixel of a strip that is flattened: four pictures
_COEFFICIENT = 2
_WEBP = 16  # libwebp has two canvases and hands on a third picture, which Pillow copies
# AVIF, beside the planes: dav1d's working memory; libavif's RGB (3) or RGBA (4), and Pillow's copy of it.
_AVIF_WORKING, _AVIF_OTHER = 0.65, 8
_AVIF: Mapping[str, int] = {"L": 2, "RGB": 7}
# HEIC, by its depth (8 bits or more) and subsampling (4:2:0 or less): planes, libheif's conversions, Pillow's copy.
_HEIF: Mapping[tuple[bool, bool], float] = {
    (False, True): 7.75,
    (False, False): 9.75,
    (True, True): 8,
    (True, False): 16,
}
_HEIF_ALPHA: Mapping[bool, float] = {False: 2.25, True: 5}
_HEIF_GREY, _HEIF_WORKING = 3, 5_000_000

# What an ordinary photo of each kind takes for a pixel: 4:4:4 in a progressive JPEG, 4:2:0 of 8 bits in AVIF and HEIC.
_TYPICAL: Mapping[str, float] = {
    "JPEG": 4 / 64,
    "progressive JPEG": 3 * _COEFFICIENT + 4 / 64,
    "PNG": 4,
    "WebP": _WEBP,
    "AVIF": 7 + 1.5 + _AVIF_WORKING,
    "HEIC": 7.75,
}
_TYPICAL_FIXED = 6_000_000  # strips, rows, the encoded WebP


def decoding_cost(header: PhotoHeader, spec: ImageSpec | None = None) -> int:
    """Bytes of memory at the peak of decoding a photo to `spec`, beside the encoded photo itself.

    Without a `spec`, a JPEG is decoded in full size, and nothing is resized.
    """
    decoded = _DECODERS[header.format](header, spec)
    resized = resizing_bytes(decoded, spec) if spec else 0
    return int(decoded + resized + METADATA_COPIES * header.metadata_bytes + ROW_BYTES * header.height)


def accepted_megapixels(limits: PhotoLimits, spec: ImageSpec) -> dict[str, float]:
    """The largest photo of each kind that `limits` let in, in megapixels, if it is an ordinary one of its kind."""
    left = max(0, limits.decoding_bytes - _TYPICAL_FIXED - resizing_bytes(limits.decoding_bytes, spec))
    formats = {*NAMES.values(), "progressive JPEG"}
    return {
        kind: int(min(limits.max_scaled_pixels if kind == "JPEG" else limits.max_pixels, left / pixel) / 1e5) / 10
        for kind, pixel in _TYPICAL.items()
        if kind in formats
    }


def resizing_bytes(decoded: float, spec: ImageSpec) -> float:
    """Bytes of results, and of a copy reduced to sides of less than three times what is wanted, or of all if less."""
    wanted = max(spec.width, spec.height) ** 2
    return min(decoded, 48 * wanted) + 20 * wanted


def _jpeg(header: PhotoHeader, spec: ImageSpec | None) -> float:
    longest = max(spec.width, spec.height) if spec and not header.lossless else max(header.width, header.height)
    scale = draft_scale(header.width, header.height, longest)
    decoded = _stored(header) * -(-header.width // scale) * -(-header.height // scale)
    if header.scans == 1:
        return decoded
    return decoded + _COEFFICIENT * coefficients(header.image, header.width, header.height)


def _png(header: PhotoHeader, spec: ImageSpec | None) -> float:
    rows = max(1, int(header.height / min(spec.width, spec.height) / REDUCING_GAP)) if spec else 1
    strip = min(header.pixels, max(STRIP_PIXELS, header.width * rows))
    return _stored(header) * header.pixels + _STRIP * strip


def _webp(header: PhotoHeader, _: ImageSpec | None) -> float:
    return _WEBP * header.pixels + header.size_bytes


def _avif(header: PhotoHeader, _: ImageSpec | None) -> float:
    coded = header.coded
    planes = coded.plane_bytes + _AVIF_WORKING * coded.pixels
    if (header.width, header.height) not in coded.sizes:  # put together of tiles, or scaled: one more copy
        planes += header.pixels * coded.plane_bytes / max(1, coded.pixels)
    width, height = header.shown
    crop = _stored(header) * width * height if header.crop else 0
    return planes + _AVIF.get(header.image.mode, _AVIF_OTHER) * header.pixels + crop


def _heif(header: PhotoHeader, _: ImageSpec | None) -> float:
    mode, info = header.image.mode, header.image.info
    if mode == "L":
        return _HEIF_GREY * header.pixels + _HEIF_WORKING
    deep = info.get("bit_depth", 16) > 8
    pixel = _HEIF[deep, info.get("chroma") == 420]
    return (pixel + (0 if mode == "RGB" else _HEIF_ALPHA[deep])) * header.pixels + _HEIF_WORKING


def _stored(header: PhotoHeader) -> int:
    return _STORED.get(header.image.mode, 4)


_DECODERS: Mapping[str, Callable[[PhotoHeader, ImageSpec | None], float]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "WEBP": _webp,
    "AVIF": _avif,
    "HEIF": _heif,
}
