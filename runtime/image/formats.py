"""Accepted image formats: the decoders that are registered with Pillow, and detection by magic number."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

# Named one by one: left to itself, Pillow would load the plugins of all its formats.
from PIL import AvifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin, features  # noqa: F401

from runtime.image import png
from runtime.image.errors import MAX_TEXT_BYTES
from runtime.image.jpeg import markers as jpeg

try:
    import pillow_heif
except ImportError:  # the extra `heic` is not installed
    HEIC = False
else:
    HEIC = True
    # One thread, as for AVIF; and never an embedded thumbnail, which may show something else, in place of the photo.
    pillow_heif.register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)

# `runtime.image.limits` checks the pixels before any are decoded; Pillow's own check would only warn.
Image.MAX_IMAGE_PIXELS = None
PngImagePlugin.MAX_TEXT_MEMORY = MAX_TEXT_BYTES
# A photo is decoded by the thread that calls; Pillow would start one more for each core of the host.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
# Pillow's warnings about a photo stay out of the log: one hostile photo could write thousands of lines.
warnings.filterwarnings("ignore", module=r"PIL\.")

NAMES: Mapping[str, str] = {
    "JPEG": "JPEG",
    "PNG": "PNG",
    "WEBP": "WebP",
    **({"AVIF": "AVIF"} if features.check("avif") else {}),
    **({"HEIF": "HEIC"} if HEIC else {}),
}
FORMATS = tuple(NAMES)
MEDIA_TYPES = tuple(f"image/{name.lower()}" for name in NAMES.values())

ACCEPTED = " or ".join([", ".join(list(NAMES.values())[:-1]), list(NAMES.values())[-1]])

_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})


def detect_format(data: bytes) -> str | None:
    """Pillow's name of the format that the magic number stands for, accepted here or not; None for any other."""
    if data.startswith(jpeg.SIGNATURE):
        return "JPEG"
    if data.startswith(png.SIGNATURE):
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        return _detect_brand(data)
    return None


def _detect_brand(data: bytes) -> str | None:
    """AVIF and HEIC share a container (ISO base media file format), and differ by the brands in its `ftyp` box."""
    end = min(int.from_bytes(data[:4], "big"), 256)
    brands = {data[8:12], *(data[at : at + 4] for at in range(16, end, 4))}
    if brands & _AVIF_BRANDS:
        return "AVIF"
    return "HEIF" if brands & _HEIC_BRANDS else None
