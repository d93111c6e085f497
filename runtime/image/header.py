"""What is known before a pixel is decoded: the format, the size, the frames. Most refusals happen here."""

from __future__ import annotations

import io

from PIL import Image

from runtime.image.avif import Coded, coded_pictures
from runtime.image.errors import CorruptImage, ImageTooLarge, UnsupportedImage
from runtime.image.formats import ACCEPTED, BYTES_PER_PIXEL, FORMATS, NAMES, PROGRESSIVE_JPEG, recognise
from runtime.image.structure import excess_parts, excess_scans

DEFAULT_MAX_PIXELS = 64_000_000
MAX_PICTURES = 4  # as large as is accepted, in one AVIF: the photo, its transparency, its gain map
MAX_FRAMES = 1000  # of an animation, of which only the first is looked at; at 25 a second, 40 s

_CODED = "coded pixels"  # of an opened photo, beside what Pillow knows of it; 0 where its size says it all


def open_image(data: bytes, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Image.Image:
    """Read the header only; the same refusals as `decode`, before a pixel is decoded.

    `max_pixels` counts for JPEG and PNG. Formats whose decoders need more memory are refused earlier, such that none
    needs more than a progressive JPEG of that size (at 64 megapixels: 384 MB): of HEIC 4/5, of AVIF 1/2, of WebP 1/3.
    """
    format_ = recognise(data)
    if format_ not in FORMATS:
        raise UnsupportedImage(_why_unsupported(data, format_))
    _refuse_excess(excess_parts(data, format_))
    try:
        # What `Image.open` does once it knows the format; it would not tell what is wrong with the header.
        read_header, _ = Image.OPEN[format_]
        image = read_header(io.BytesIO(data), "")
        frames = int(getattr(image, "n_frames", 1))
    except Exception as error:
        raise CorruptImage.because(error) from error
    _refuse_excess(excess_scans(image, data))
    limit = min(max_pixels, int(max_pixels * PROGRESSIVE_JPEG / BYTES_PER_PIXEL[format_]))
    coded = _coded_pictures(data) if format_ == "AVIF" else Coded([], 0)
    for width, height in [image.size, *coded.sizes]:
        if width * height > limit:
            of_these = f" of a {NAMES[format_]}" if limit < max_pixels else ""
            raise ImageTooLarge(
                f"the photo has {width} x {height} pixels, more than the {limit / 1e6:.0f} megapixels "
                f"accepted{of_these}; scale it down first"
            )
    if coded.pixels > MAX_PICTURES * limit:
        raise ImageTooLarge(
            f"decoding the photo takes pictures of {coded.pixels / 1e6:.0f} megapixels, more than the "
            f"{MAX_PICTURES * limit / 1e6:.0f} accepted together; send one picture"
        )
    image.info[_CODED] = coded.pixels
    if frames > MAX_FRAMES:
        raise ImageTooLarge(f"the photo has {frames} frames, more than the {MAX_FRAMES} accepted; send one of them")
    return image


def _coded_pictures(data: bytes) -> Coded:
    try:
        return coded_pictures(data)
    except (IndexError, ValueError) as error:
        raise CorruptImage.because(error) from error


def _refuse_excess(of_what: str | None) -> None:
    if of_what:
        raise CorruptImage.because(of_what)


def decoding_bytes(image: Image.Image) -> float:
    """The memory that decoding this photo may take, from its header."""
    each = PROGRESSIVE_JPEG if "progressive" in image.info else BYTES_PER_PIXEL[recognised_format(image)]
    return max(image.width * image.height, int(image.info[_CODED])) * each


def recognised_format(image: Image.Image) -> str:
    """The accepted format of an opened photo; Pillow calls a JPEG with more than one picture MPO."""
    return "JPEG" if image.format == "MPO" else str(image.format)


def _why_unsupported(data: bytes, format_: str | None) -> str:
    if not data:
        return f"the file is empty; send {ACCEPTED}"
    if format_ == "HEIF":
        return f"the photo is a HEIC, which this appliance takes only with the extra `heic` installed; send {ACCEPTED}"
    return f"the file is not a photo in an accepted format; send {ACCEPTED}"
