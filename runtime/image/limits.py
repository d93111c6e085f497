"""Limits on photos that are small to send and expensive to decode (decompression bombs): parts, scans, pixels, frames.

Pillow keeps every segment of a JPEG header and every unknown chunk of a PNG as an object of its own (12 MB of empty
ones make 400 MB), and libjpeg goes over the whole photo for each scan, of which 1 MB holds a hundred thousand.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from runtime.bundle.input import ImageSpec
from runtime.host.photo_limits import DEFAULT_LIMITS, PhotoLimits
from runtime.image.decoding_cost import METADATA_COPIES, decoding_cost
from runtime.image.errors import CorruptImage, ImageTooLarge
from runtime.image.formats import NAMES
from runtime.image.header import PhotoHeader
from runtime.image.jpeg.markers import header_segments
from runtime.image.png import DATA_CHUNKS, chunk_types

MAX_PARTS = 1000  # a panorama with a depth map, extended XMP and a large colour profile has about 150
MAX_SCANS = 50  # of a JPEG, after the first; encoders write about 10, and each costs a pass over the whole photo
MAX_PICTURES = 4  # as large as is accepted, in one AVIF: the photo, its transparency, its gain map
MAX_FRAMES = 1000  # of an animation, of which only the first is looked at; at 25 a second, 40 s

# So small a photo cannot hold enough segments or chunks to hurt.
_SMALL_BYTES = 100_000


def check_parts(data: bytes, format_: str) -> None:
    """Raise CorruptImage for more JPEG segments or PNG chunks than any encoder writes; to be called before opening."""
    if len(data) <= _SMALL_BYTES:
        return
    if format_ == "JPEG" and _exceeds(header_segments(data), MAX_PARTS):
        raise CorruptImage.because(f"more than {MAX_PARTS} segments before the picture")
    if format_ == "PNG" and _exceeds((kind for kind in chunk_types(data) if kind not in DATA_CHUNKS), MAX_PARTS):
        raise CorruptImage.because(f"more than {MAX_PARTS} chunks")


def check_limits(header: PhotoHeader, limits: PhotoLimits = DEFAULT_LIMITS) -> PhotoHeader:
    """Return `header` if its photo may be decoded; raise CorruptImage for its scans, ImageTooLarge for its size.

    What decoding takes is checked by `check_cost`, which knows the size that is wanted.
    """
    if header.scans > 1 + MAX_SCANS:
        raise CorruptImage.because(f"more than {MAX_SCANS} scans")
    _check_size(header, limits.max_scaled_pixels if header.scales else limits.max_pixels)
    if header.frames > MAX_FRAMES:
        raise ImageTooLarge(
            f"the photo has {header.frames} frames, more than the {MAX_FRAMES} accepted; send one of them",
            "frames",
            {"frames": header.frames, "most": MAX_FRAMES},
        )
    return header


def check_cost(header: PhotoHeader, spec: ImageSpec, limits: PhotoLimits) -> int:
    """The bytes that decoding to `spec` takes; raises ImageTooLarge for more than `limits` allow."""
    cost, most = decoding_cost(header, spec), limits.decoding_bytes
    if cost <= most:
        return cost
    if METADATA_COPIES * header.metadata_bytes > cost / 2:
        raise ImageTooLarge(
            f"the photo has {header.metadata_bytes / 1e6:.0f} MB of metadata, more than the memory for decoding "
            f"({most / 1e6:.0f} MB) allows; export it without them",
            "metadata",
            {"megabytes": round(header.metadata_bytes / 1e6), "most": round(most / 1e6)},
        )
    kind = _kind_of(header)
    baseline = ", or save it as a baseline JPEG," if header.format == "JPEG" and not header.scales else ""
    raise ImageTooLarge(
        f"the photo has {header.width} x {header.height} pixels, more than the "
        f"{header.pixels * most / cost / 1e6:.1f} megapixels that the memory for decoding ({most / 1e6:.0f} MB) allows "
        f"for {kind} of its kind; scale it down{baseline} first",
        "memory",
        {
            "width": header.width,
            "height": header.height,
            "megapixels": round(header.pixels / 1e6, 1),
            "most": round(header.pixels * most / cost / 1e6, 1),
        },
    )


def _kind_of(header: PhotoHeader) -> str:
    if header.lossless:
        return "a lossless JPEG"
    if header.format == "JPEG" and not header.scales:
        return "a progressive JPEG" if header.progressive else "a JPEG in several scans"
    name = NAMES[header.format]
    return f"an {name}" if name[0] == "A" else f"a {name}"


def _check_size(header: PhotoHeader, most: int) -> None:
    for width, height in [(header.width, header.height), *header.coded.sizes]:
        if width * height > most:
            raise ImageTooLarge(
                f"the photo has {width} x {height} pixels, more than the {most / 1e6:.0f} megapixels accepted; "
                "scale it down first",
                "megapixels",
                {"width": width, "height": height, "megapixels": round(width * height / 1e6, 1), "most": most / 1e6},
            )
    if header.coded.pixels > MAX_PICTURES * most:
        raise ImageTooLarge(
            f"decoding the photo takes pictures of {header.coded.pixels / 1e6:.0f} megapixels, more than the "
            f"{MAX_PICTURES * most / 1e6:.0f} accepted together; send one picture",
            "pictures",
            {"megapixels": round(header.coded.pixels / 1e6), "most": round(MAX_PICTURES * most / 1e6)},
        )


def _exceeds(parts: Iterator[object], count: int) -> bool:
    """Whether there are more than `count`; reads no further."""
    return next(islice(parts, count, None), None) is not None
