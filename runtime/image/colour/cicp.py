"""CICP: coding-independent code points of colour (Rec. ITU-T H.273), as `nclx` in AVIF and HEIC and `cICP` in PNG."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Chromaticities = tuple[float, float, float, float, float, float, float, float]  # x, y of white, red, green and blue

SRGB, PQ, HLG = 13, 16, 18  # transfer characteristics
HDR = frozenset({PQ, HLG})
# SDR white in PQ and HLG: the reference white of Rec. ITU-R BT.2408, 203 cd/m2; HLG on its nominal display of 1000.
WHITE_NITS = 203.0
HLG_NITS = 1000.0

_D65, _C, _E = (0.3127, 0.3290), (0.310, 0.316), (1 / 3, 1 / 3)
BT709: Chromaticities = (*_D65, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060)
_SMPTE_C: Chromaticities = (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070)
# H.273, table 2.
CHROMATICITIES: Mapping[int, Chromaticities] = {
    1: BT709,
    4: (*_C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: _SMPTE_C,
    7: _SMPTE_C,
    8: (*_C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    10: (*_E, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    22: (*_D65, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077),
}
# Curves of television, which encoders name where nobody converted an sRGB photo: taken for sRGB, as browsers do.
TAKEN_FOR_SRGB = frozenset({1, 6, 11, 12, SRGB, 14, 15})


class Cicp(NamedTuple):
    """The code points of primaries and transfer, and whether samples of 8 bits go from 16 to 235."""

    primaries: int
    transfer: int
    narrow: bool = False

    @property
    def known(self) -> bool:
        """Whether both are defined here; 2 stands for "unspecified"."""
        return (self.primaries == 2 or self.primaries in CHROMATICITIES) and (
            self.transfer == 2 or self.transfer in TAKEN_FOR_SRGB or self.transfer in LIGHT
        )


def srgb_to_light(signal: Array) -> Array:
    """IEC 61966-2-1; signal and light 0..1."""
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def light_to_srgb(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """IEC 61966-2-1, the inverse of `srgb_to_light`."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055).astype(np.float32)


_M1, _M2, _C1, _C2, _C3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128


def pq_to_light(signal: Array) -> Array:
    """SMPTE ST 2084 (Rec. ITU-R BT.2100, table 4); signal 0..1, light in units of WHITE_NITS."""
    root = signal ** (1 / _M2)
    light: Array = (np.maximum(root - _C1, 0) / (_C2 - _C3 * root)) ** (1 / _M1) * (10_000 / WHITE_NITS)
    return light


def light_to_pq(light: Array) -> Array:
    """The inverse of `pq_to_light`."""
    power = np.clip(light * (WHITE_NITS / 10_000), 0, 1) ** _M1
    signal: Array = ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2
    return signal


def _hlg_to_scene(signal: Array) -> Array:
    """The inverse OETF of HLG (Rec. ITU-R BT.2100, table 5): light of the scene, 0..1."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)


def _smpte240(signal: Array) -> Array:
    return np.where(signal < 4 * 0.0228, signal / 4, ((signal + 0.1115) / 1.1115) ** (1 / 0.45))


# H.273, table 3: from signal to light, where the curve is not taken for sRGB. Of HLG, the light of the scene.
LIGHT: Mapping[int, Callable[[Array], Array]] = {
    4: lambda signal: signal**2.2,
    5: lambda signal: signal**2.8,
    7: _smpte240,
    8: lambda signal: signal,
    9: lambda signal: np.where(signal > 0, 100.0 ** (signal - 1), 0),
    10: lambda signal: np.where(signal > 0, 10 ** (2.5 * (signal - 1)), 0),
    PQ: pq_to_light,
    17: lambda signal: signal**2.6 * (52.37 / 48),
    HLG: _hlg_to_scene,
}
