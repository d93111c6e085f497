"""Grey thumbnails without the bars that letterboxing adds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 64  # px
_BAR_CONTRAST = 12  # grey levels, of 255, within one row of a bar: JPEG makes some
_BAR_DRIFT = 8  # grey levels between the rows of one bar
_LEAST_LEFT = 0.2  # of a side; a photo that is nearly all "bar" is a photo of a plain thing


class Thumbnail(NamedTuple):
    """`grey` [SIDE, SIDE] uint8, stretched to a square; `aspect` is the photo's width by its height, bars left out."""

    grey: NDArray[np.uint8]
    aspect: float


def thumbnail_of(pixels: NDArray[np.uint8], width: int, height: int) -> Thumbnail:
    """The thumbnail of a photo of `width` x `height` px, from `pixels` [N, N, 3] to which it was stretched."""
    grey = np.asarray(Image.fromarray(pixels).convert("L"))
    rows, columns = _between_bars(grey), _between_bars(grey.T)
    small = Image.fromarray(grey[rows, columns]).resize((SIDE, SIDE), Image.Resampling.BOX)
    aspect = width * (columns.stop - columns.start) / (height * (rows.stop - rows.start))
    return Thumbnail(np.asarray(small), aspect)


def _between_bars(grey: NDArray[np.uint8]) -> slice:
    """The rows that are left without the plain ones at either end."""
    levels = grey.astype(np.int16)
    plain = np.ptp(levels, axis=1) <= _BAR_CONTRAST
    means = levels.mean(axis=1)
    above = _length(plain & (np.abs(means - means[0]) <= _BAR_DRIFT))
    below = _length((plain & (np.abs(means - means[-1]) <= _BAR_DRIFT))[::-1])
    if above + below > (1 - _LEAST_LEFT) * len(grey):
        return slice(0, len(grey))
    return slice(above, len(grey) - below)


def _length(is_bar: NDArray[np.bool_]) -> int:
    """How many are true before the first that is not."""
    return len(is_bar) if is_bar.all() else int(is_bar.argmin())
