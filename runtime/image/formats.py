"""The formats that are taken, how each is recognised, and what it costs to decode."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

# Named one by one: left to itself, Pillow would load the plugins of all its formats.
from PIL import AvifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin, features  # noqa: F401

try:
    import pillow_heif
except ImportError:  # the extra `heic` is not installed
    HEIC = False
else:
    HEIC = True
    # One thread, as for AVIF; and never an embedded thumbnail, which may show something else, in place of the photo.
    pillow_heif.register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)

# Pixels are counted in runtime/image/header.py, before any decoding; Pillow's own check would only warn.
Image.MAX_IMAGE_PIXELS = None
# A photo is decoded by the thread that was given it; Pillow would start one more for each core of the host.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
# What Pillow finds odd about a photo is not for our log, where one hostile photo could write thousands of lines.
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

# Bytes of memory that a decoder takes at its worst for each pixel of the photo, the decoded photo included; measured
# with photos of 16 megapixels. A baseline JPEG is decoded line by line, at the scale that is wanted; a progressive one
# keeps all its coefficients, the WebP decoder four copies of the photo.
PROGRESSIVE_JPEG = 6
BYTES_PER_PIXEL: Mapping[str, float] = {"JPEG": 0.1, "PNG": 4, "WEBP": 18, "AVIF": 12, "HEIF": 7.5}

_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})


def recognise(data: bytes) -> str | None:
    """Pillow's name of the format that the first bytes announce, accepted here or not; None for anything else."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        return _recognise_brands(data)
    return None


def _recognise_brands(data: bytes) -> str | None:
    """AVIF and HEIC share a container, and tell themselves apart by the brands at its head."""
    end = min(int.from_bytes(data[:4], "big"), 256)
    brands = {data[8:12], *(data[at : at + 4] for at in range(16, end, 4))}
    if brands & _AVIF_BRANDS:
        return "AVIF"
    return "HEIF" if brands & _HEIC_BRANDS else None
