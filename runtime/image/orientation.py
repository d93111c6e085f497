"""EXIF orientation."""

from __future__ import annotations

from PIL import Image

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SWAPS_SIDES = frozenset({5, 6, 7, 8})

_TAG = 0x0112
# The keys of `Image.info` that Pillow reads the orientation from; a photo without any of them is upright.
_SOURCES = ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp")


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation of a decoded photo, 1..8; 1 if it has none, or none that can be parsed.

    Call it after decoding: Pillow decodes a PNG to find it, and a second try after a failed one yields half a photo.
    """
    if not any(source in image.info for source in _SOURCES):
        return 1  # as Pillow's parser would, twenty times slower
    try:
        orientation = int(image.getexif().get(_TAG, 1))
    except Exception:  # a broken EXIF block says nothing about the pixels
        return 1
    return orientation if orientation in UPRIGHT else 1
