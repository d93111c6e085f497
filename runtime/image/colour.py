"""Colour management: ICC profiles applied, so that the model gets sRGB, which it was trained on."""

from __future__ import annotations

import hashlib
import io
from itertools import product

import numpy as np
from PIL import Image, ImageCms

# A profile is a few kB, that of a printing press up to 3 MB; a larger one was not made to be used.
MAX_PROFILE_BYTES = 4 * 2**20
_SPACES = {"RGB": b"RGB ", "CMYK": b"CMYK"}
# A profile whose colours are all within so many steps of sRGB is sRGB, of which there are dozens of spellings.
_SAME = 4
_GRID = (0, 51, 102, 153, 204, 255)
# Transforms are cached: making one takes milliseconds, and most photos come with one of a few profiles.
_KEPT = 16
_transforms: dict[bytes, ImageCms.ImageCmsTransform | None] = {}


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """An RGB, L or CMYK image as RGB in sRGB.

    The ICC profile is applied if there is one that fits and can be used. Without it RGB is taken for sRGB, and CMYK
    is converted naively (each of red, green and blue is what cyan, magenta or yellow, and black leave of it). A grey
    profile changes only the tone curve, and is ignored.
    """
    if profile and profile[16:20] == _SPACES.get(image.mode) and len(profile) <= MAX_PROFILE_BYTES:
        transform = _transform(profile, image.mode)
        if transform is not None:
            return transform.apply(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The transform from a profile to sRGB; None if it changes nothing, or the profile cannot be used."""
    key = hashlib.sha256(profile).digest()
    if key not in _transforms:
        made = _make(profile, mode)
        while len(_transforms) >= _KEPT:
            _transforms.pop(next(iter(_transforms)), None)
        _transforms[key] = made
        return made
    return _transforms.get(key)


def _make(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        return None if mode == "RGB" and _changes_nothing(transform) else transform
    except Exception:  # a broken profile says nothing about the pixels
        return None


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    colours = np.array(list(product(_GRID, repeat=3)), np.uint8)[np.newaxis]
    converted = np.asarray(transform.apply(Image.fromarray(colours)))
    return bool(np.abs(converted.astype(np.int16) - colours).max() <= _SAME)
