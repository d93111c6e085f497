"""Photo inspection: parse the header of an encoded photo, once, before any pixel is decoded."""

from __future__ import annotations

import io
from typing import cast

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from runtime.image.avif import Coded, coded_pictures
from runtime.image.colour.conversion import told_colour
from runtime.image.errors import CorruptImage, UnsupportedImage, refusal_of
from runtime.image.foreign_formats import foreign_format
from runtime.image.formats import ACCEPTED, FORMATS, detect_format
from runtime.image.header import NOTHING_CODED, PhotoHeader
from runtime.image.jpeg.markers import count_scans, first_scan, frame_type, unsupported_kind
from runtime.image.limits import MAX_SCANS, check_parts
from runtime.image.png import metadata_bytes, without_broken_extras


def inspect(data: bytes) -> PhotoHeader:
    """Parse the header of an encoded photo.

    Raises UnsupportedImage for a format outside the allow-list, CorruptImage for a header that cannot be parsed or
    consists of too many parts. No other limit is checked here: `check_limits` does that.
    """
    format_ = detect_format(data)
    if format_ not in FORMATS:
        raise _unsupported(data, format_)
    check_parts(data, format_)
    try:
        image = _open(data, format_)
        frames = int(getattr(image, "n_frames", 1))
    except Exception as error:
        if format_ == "JPEG" and (kind := unsupported_kind(data)):
            raise UnsupportedImage.of_kind(kind) from error
        raise refusal_of(error) from error
    width, height = image.size
    is_jpeg = format_ == "JPEG"
    begin = first_scan(cast("JpegImageFile", image), data) if is_jpeg else 0
    coded = _coded_pictures(data) if format_ == "AVIF" else NOTHING_CODED
    return PhotoHeader(
        format=format_,
        width=width,
        height=height,
        frames=frames,
        scans=count_scans(cast("JpegImageFile", image), data, begin, MAX_SCANS) if is_jpeg else 1,
        progressive=is_jpeg and "progressive" in image.info,
        frame_type=frame_type(data, begin) if is_jpeg else 0,
        coded=coded,
        size_bytes=len(data),
        metadata_bytes=begin if is_jpeg else _metadata_bytes(format_, image, data),
        first_scan=begin,
        image=image,
        colour=None if is_jpeg else told_colour(format_, image.info, data, coded.cicp),
        crop=coded.clap.crop(width, height) if coded.clap else None,
    )


def _open(data: bytes, format_: str) -> Image.Image:
    """What `Image.open` does once it knows the format; it would not say what is wrong with the header."""
    read_header, _ = Image.OPEN[format_]
    try:
        return read_header(io.BytesIO(data), "")
    except SyntaxError:
        if format_ != "PNG" or (mended := without_broken_extras(data)) == data:
            raise
        return read_header(io.BytesIO(mended), "")


def _metadata_bytes(format_: str, image: Image.Image, data: bytes) -> int:
    if format_ == "PNG":
        return metadata_bytes(data)
    return sum(len(image.info.get(kind) or b"") for kind in ("icc_profile", "exif", "xmp"))


def _coded_pictures(data: bytes) -> Coded:
    try:
        return coded_pictures(data)
    except (IndexError, ValueError) as error:
        raise CorruptImage.because(error) from error


def _unsupported(data: bytes, format_: str | None) -> UnsupportedImage:
    accepted = {"accepted": ACCEPTED}
    if not data:
        return UnsupportedImage(f"the file is empty; send {ACCEPTED}", "empty", accepted)
    if format_ == "HEIF":
        sentence = "the photo is a HEIC, which this appliance takes only with the extra `heic` installed"
        return UnsupportedImage(f"{sentence}; send {ACCEPTED}", "heic", accepted)
    if kind := foreign_format(data):
        article = "an" if kind == "SVG" else "a"
        sentence = f"the file is {article} {kind}, which is not accepted; send {ACCEPTED}"
        return UnsupportedImage(sentence, "format", accepted | {"kind": kind})
    return UnsupportedImage(f"the file is not a photo in an accepted format; send {ACCEPTED}", "not_photo", accepted)
