"""Colour management: what a photo says about its colours applied, so that the model gets sRGB, as in training."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from runtime.image import png
from runtime.image.colour.cicp import BT709, Cicp
from runtime.image.colour.spaces import ColourSpace, convert, of_cicp

# A profile is a few kB, that of a printing press up to 3 MB; a larger one was not made to be used.
MAX_PROFILE_BYTES = 4 * 2**20
_SPACES = {"RGB": b"RGB ", "CMYK": b"CMYK", "L": b"GRAY"}
GREY_MODES = frozenset({"L", "LA", "La", "I;16", "I;16B", "I;16L", "I"})
# A profile whose colours are all within so many steps of sRGB is sRGB, of which there are dozens of spellings.
_SAME = 4
_GRID = (0, 51, 102, 153, 204, 255)
# Transforms are cached: making one takes milliseconds, and most photos come with one of a few profiles.
_KEPT = 16
_transforms: dict[bytes, ImageCms.ImageCmsTransform | None] = {}


def told_colour(format_: str, info: Mapping[Any, Any], data: bytes, cicp: Cicp | None) -> ColourSpace | None:
    """The colour space that counts instead of an ICC profile; None where the profile counts, or nothing is told.

    Before the pixels are decoded; `info` is Pillow's, `cicp` an AVIF's. In PNG cICP counts before iCCP, sRGB, and gAMA
    with cHRM (third edition, 4.3); in AVIF and HEIC a profile counts before `nclx` (ISO/IEC 23000-22, 7.3.6.4). JPEG
    and WebP have profiles alone.
    """
    if format_ == "PNG":
        return of_cicp(png.cicp_of(data)) or (None if "icc_profile" in info or "srgb" in info else _gamma_of(info))
    if "icc_profile" in info:
        return None
    nclx = info.get("nclx_profile")
    if format_ == "HEIF" and nclx:
        cicp = Cicp(int(nclx["color_primaries"]), int(nclx["transfer_characteristics"]))
    return of_cicp(cicp)


def to_srgb(image: Image.Image, told: bytes | ColourSpace | None, *, grey: bool = False) -> Image.Image:
    """An RGB, L or CMYK image as RGB in sRGB.

    It is converted from the colour space, or by the ICC profile, that it is `told` to have, if that fits and can be
    used. Without one RGB is taken for sRGB, and CMYK is converted naively (each of red, green and blue is what cyan,
    magenta or yellow, and black leave of it). `grey` says that an RGB image was grey, whose profile has one curve.
    """
    if isinstance(told, ColourSpace):
        return convert(image if image.mode == "RGB" else image.convert("RGB"), told)
    if told and len(told) <= MAX_PROFILE_BYTES:
        if grey and image.mode == "RGB" and told[16:20] == _SPACES["L"]:
            image = image.getchannel(0)
        transform = _transform(told, image.mode) if told[16:20] == _SPACES.get(image.mode) else None
        if transform is not None:
            return transform.apply(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _gamma_of(info: Mapping[Any, Any]) -> ColourSpace | None:
    """The colour space of a PNG's gAMA and cHRM; each is sRGB's where there is none."""
    gamma, chromaticity = info.get("gamma"), info.get("chromaticity")
    if gamma is None and chromaticity is None:
        return None
    primaries = tuple(chromaticity) if chromaticity and len(chromaticity) == len(BT709) else BT709
    return ColourSpace(primaries, gamma=gamma)


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
            ImageCms.Flags.BLACKPOINTCOMPENSATION | (ImageCms.Flags.NOOPTIMIZE if mode == "L" else 0),  # too coarse
        )
        return None if _changes_nothing(transform, mode) else transform
    except Exception:  # a broken profile says nothing about the pixels
        return None


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    if mode == "CMYK":
        return False
    colours = np.array(list(product(_GRID, repeat=3)), np.uint8)[np.newaxis]
    if mode == "L":
        colours = np.arange(256, dtype=np.uint8)[np.newaxis]
    converted = np.asarray(transform.apply(Image.fromarray(colours)))
    wanted = colours if mode == "RGB" else np.repeat(colours[..., np.newaxis], 3, axis=-1)
    return bool(np.abs(converted.astype(np.int16) - wanted).max() <= _SAME)
