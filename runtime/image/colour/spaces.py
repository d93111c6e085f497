"""Colour spaces that a photo names without an ICC profile, converted to sRGB; PQ and HLG are tone-mapped."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from runtime.image.colour.cicp import (
    BT709,
    CHROMATICITIES,
    HDR,
    HLG,
    HLG_NITS,
    LIGHT,
    SRGB,
    TAKEN_FOR_SRGB,
    WHITE_NITS,
    Array,
    Chromaticities,
    Cicp,
    light_to_pq,
    light_to_srgb,
    pq_to_light,
    srgb_to_light,
)

Light = NDArray[np.float32]

# As libpng: a gamma within 5 % of 1 / 2.2, and chromaticities within 0.01 of sRGB's, are another spelling of sRGB.
_SRGB_GAMMA, _SAME_GAMMA, _SAME_POINT = 1 / 2.2, 0.05, 0.01
_GAMMAS = 0.1, 10.0  # one beyond is not meant
_MOST_GAIN = 100.0  # of a matrix: beyond, the chromaticities are not those of any colours
_BT2020_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)
# Bradford: the responses of a linearised model of the eye, in which one white is adapted to another (ICC.1:2022, E).
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


class ColourSpace(NamedTuple):
    """Primaries, and a transfer characteristic of H.273 or the exponent of a gamma curve."""

    primaries: Chromaticities = BT709
    transfer: int = SRGB
    gamma: float | None = None  # by which light was encoded (a PNG's gAMA); wins over `transfer`
    narrow: bool = False


class _Conversion(NamedTuple):
    light: Light  # [256], of each sample
    matrix: Light | None  # [3, 3], to the primaries of sRGB
    transfer: int


def of_cicp(cicp: Cicp | None) -> ColourSpace | None:
    """The colour space that code points stand for; None if they name none. What is unspecified is sRGB's."""
    if cicp is None or not cicp.known:
        return None
    transfer = SRGB if cicp.transfer in TAKEN_FOR_SRGB or cicp.transfer == 2 else cicp.transfer
    return ColourSpace(CHROMATICITIES.get(cicp.primaries, BT709), transfer, narrow=cicp.narrow)


def convert(image: Image.Image, space: ColourSpace) -> Image.Image:
    """An RGB image in sRGB. Colours beyond sRGB are clipped, light beyond SDR white is compressed (`to_sdr`)."""
    conversion = _conversion(space)
    if conversion is None:
        return image
    light = conversion.light[np.asarray(image)]
    if conversion.transfer == HLG:
        light = _show_hlg(light)
    if conversion.matrix is not None:
        light = light @ conversion.matrix.T
    if conversion.transfer in HDR:
        light = to_sdr(light)
    return Image.fromarray(np.rint(light_to_srgb(np.clip(light, 0, 1)) * 255).astype(np.uint8))


def to_sdr(light: Light) -> Light:
    """Tone mapping: [..., 3] light in units of SDR white, compressed so that nothing is brighter than that.

    The EETF of Rec. ITU-R BT.2408-7, annex 5 (before in Report BT.2390): a Hermite spline in PQ, from a knee on, that
    takes the picture's own peak to SDR white. It is applied to the largest of R, G and B, and scales all three alike,
    which keeps hues. A picture without highlights is not changed.
    """
    brightest = light.max(axis=-1).astype(np.float64)
    if brightest.max() <= 1:
        return light
    peak, one = light_to_pq(np.array([brightest.max(), 1.0])).tolist()
    signal, white = light_to_pq(brightest) / peak, one / peak
    knee = 1.5 * white - 0.5
    mapped = pq_to_light(np.where(signal < knee, signal, _spline(signal, knee, white)) * peak)
    scaled: Light = (light * (mapped / np.maximum(brightest, 1e-6))[..., np.newaxis]).astype(np.float32)
    return scaled


def _spline(signal: Array, knee: float, white: float) -> Array:
    t = (signal - knee) / (1 - knee)
    return (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * white


def _show_hlg(scene: Light) -> Light:
    """The OOTF of HLG (Rec. ITU-R BT.2100, table 5): from the scene to a display of 1000 cd/m2, whose gamma is 1.2."""
    luminance = np.maximum(scene @ _BT2020_LUMINANCE, 1e-6)
    shown: Light = (scene * luminance[..., np.newaxis] ** 0.2 * (HLG_NITS / WHITE_NITS)).astype(np.float32)
    return shown


@lru_cache(maxsize=16)
def _conversion(space: ColourSpace) -> _Conversion | None:
    """How to convert; None if the space is sRGB or says nothing that can be meant."""
    signal = np.arange(256) / 255
    if space.narrow:
        signal = np.clip((255 * signal - 16) / 219, 0, 1)
    gamma = _meant(space.gamma)
    is_srgb = space.transfer == SRGB if space.gamma is None else gamma is None
    matrix = _to_bt709(space.primaries)
    if is_srgb and matrix is None and not space.narrow:
        return None
    curve = signal ** (1 / gamma) if gamma else srgb_to_light(signal) if is_srgb else LIGHT[space.transfer](signal)
    return _Conversion(curve.astype(np.float32), matrix, SRGB if gamma else space.transfer)


def _meant(gamma: float | None) -> float | None:
    """The exponent, unless it is sRGB's or absurd."""
    if gamma is None or not _GAMMAS[0] <= gamma <= _GAMMAS[1] or abs(gamma / _SRGB_GAMMA - 1) <= _SAME_GAMMA:
        return None
    return gamma


def _to_bt709(primaries: Chromaticities) -> Light | None:
    """The matrix to the primaries of sRGB and its white; None if they are the same, or cannot be any colours'."""
    if np.abs(np.subtract(primaries, BT709)).max() <= _SAME_POINT:
        return None
    try:
        source, target = _to_xyz(primaries), _to_xyz(BT709)
        whites = [_BRADFORD @ matrix.sum(axis=1) for matrix in (source, target)]
        adapted = np.linalg.inv(_BRADFORD) @ np.diag(whites[1] / whites[0]) @ _BRADFORD @ source
        matrix = np.linalg.solve(target, adapted)
    except (np.linalg.LinAlgError, ZeroDivisionError, FloatingPointError):
        return None
    return matrix.astype(np.float32) if bool((np.abs(matrix) < _MOST_GAIN).all()) else None


def _to_xyz(primaries: Chromaticities) -> Array:
    """From RGB to XYZ, white with Y = 1 (SMPTE RP 177); raises LinAlgError or ZeroDivisionError where there is none."""
    white, *colours = ((x, y, 1 - x - y) for x, y in zip(primaries[::2], primaries[1::2], strict=True))
    points = np.array(colours).T
    scale = np.linalg.solve(points, np.array([coordinate / white[1] for coordinate in white]))
    return np.asarray(points * scale, np.float64)
