"""Golden test patterns: synthetic inputs, bit-identical on every host, for known-answer tests of a model.

Only integer arithmetic and NumPy's raw PCG64 stream (guaranteed not to change between releases) are used.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from runtime.bundle.input import ImageSpec

Picture = NDArray[np.uint8]


def draw(pattern: str, seed: int, spec: ImageSpec) -> Picture:
    """Draw the golden input `pattern` with `seed`: (height, width, 3), RGB, 0..255.

    Raises KeyError for a pattern that this version does not know.
    """
    return PATTERNS[pattern](seed, spec.height, spec.width)


def _random_bytes(seed: int, *shape: int) -> Picture:
    count = int(np.prod(shape))
    words = np.random.PCG64(seed).random_raw((count + 7) // 8)
    return np.asarray(words, dtype="<u8").view(np.uint8)[:count].reshape(shape)


def _noise(seed: int, height: int, width: int) -> Picture:
    """Each pixel by itself: every filter is pushed both ways."""
    return _random_bytes(seed, height, width, 3)


def _blotches(seed: int, height: int, width: int) -> Picture:
    """An 8 x 8 mosaic of saturated colours: large flat areas, hard edges."""
    tiles = _random_bytes(seed, 8, 8, 3)
    rows = np.arange(height) * 8 // height
    columns = np.arange(width) * 8 // width
    return tiles[rows][:, columns]


def _discs(seed: int, height: int, width: int) -> Picture:
    """Yellow discs on mottled green."""
    ground = _random_bytes(seed, height, width, 3) >> 2
    picture: Picture = np.add(ground, np.array([20, 90, 10]), dtype=np.uint8, casting="unsafe")
    y, x = np.mgrid[:height, :width]
    for cy, cx, r, shade, *_ in _random_bytes(seed + 1, 6, 8).astype(np.int64):
        distance = (y - cy * height // 256) ** 2 + (x - cx * width // 256) ** 2
        radius = (8 + r // 4) * min(height, width) // 256
        picture[distance < radius * radius] = (200 + shade // 8, 170 + shade // 8, shade // 4)
    return picture


def _blades(seed: int, height: int, width: int) -> Picture:
    """Slanted green stripes over a vertical ramp."""
    slant, period, *tint = _random_bytes(seed, 8).astype(np.int64)
    y, x = np.mgrid[:height, :width]
    stripes = (x * 16 + y * (slant % 9 - 4)) // 16 % (4 + period % 13)
    green = 60 + stripes * 9 + y * 60 // height
    picture = np.stack([green * (tint[0] % 96) // 128, green, green * (tint[1] % 64) // 128], axis=2)
    return picture.clip(0, 255).astype(np.uint8)


PATTERNS: dict[str, Callable[[int, int, int], Picture]] = {
    "noise": _noise,
    "blotches": _blotches,
    "discs": _discs,
    "blades": _blades,
}
