"""Agreement: whether two pictures that lie over each other show the same details.

What decides is the normalised cross-correlation of what is left after the local mean and contrast have been taken away:
a light sky over a dark lawn is no sign of one picture.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from training.data.duplicates.sampling import Floats, bilinear, grid, inside, positions, shrunk

# Correlation of the details. Of 700 000 pairs of different photos (dandelions, grass, nine other flowers, things) none
# exceeds 0.76; of the copies that it can find nine in ten exceed 0.85.
AGREES = 0.78
_LOCAL = 4  # cells to each side over which mean and deviation are taken
_FAINT = 4.0  # grey levels; fainter detail counts for less
_LEAST_OVERLAP = 0.5  # of the part
_SMALLEST, _LARGEST, _MOST_UNEVEN = 0.3, 1.6, 3.0  # of the warp's singular values, and of their ratio


def agreement_of(pictures: Floats, whole: NDArray[np.int64], parts: Floats, warp: Floats) -> tuple[Floats, Floats]:
    """Correlation of the details and the worst field's difference, each [P]; correlation 0 for an impossible warp.

    `parts` [P, C, C] lie under the warps [P, 6] in the pictures [N, S, S] that `whole` [P] names.
    """
    cells = parts.shape[1]
    y, x = positions(warp, *grid(cells))
    seen = inside(y, x, margin=0.5 / pictures.shape[1]).reshape(-1, cells, cells)
    found = bilinear(pictures, whole, y, x).reshape(-1, cells, cells)
    around = np.maximum(_box_sum(seen), 1)
    found, part = (_detail(picture, seen, around) for picture in (found, parts))
    common, *powers = (np.einsum("pij,pij->p", *pair) for pair in ((found, part), (found, found), (part, part)))
    correlation = common / np.sqrt(powers[0] * powers[1] + 1e-3)
    possible = _is_possible(warp) & (seen.mean((1, 2)) >= _LEAST_OVERLAP)
    gain = common / (powers[1] + 1e-3)
    left = shrunk((found - gain[:, None, None] * part) ** 2, 4).max((1, 2))
    worst = np.sqrt(left / (powers[0] / cells**2 + 1e-3))
    return np.where(possible, correlation, 0).astype(np.float32), worst.astype(np.float32)


def _is_possible(warp: Floats) -> NDArray[np.bool_]:
    """Whether the warps [P, 6] shrink, stretch and skew no more than augmentation does."""
    values = np.linalg.svd(warp[:, 2:].reshape(-1, 2, 2), compute_uv=False)
    largest, smallest = values[:, 0], values[:, 1]
    return np.asarray((largest <= _LARGEST) & (smallest >= _SMALLEST) & (largest <= _MOST_UNEVEN * smallest))


def _detail(pictures: Floats, seen: Floats, around: Floats) -> Floats:
    """Pictures [P, C, C] less the mean of the `around` seen cells, over their deviation, as far as they are seen."""
    detail: Floats = (pictures - _box_sum(pictures * seen) / around) * seen
    detail /= np.sqrt(_box_sum(detail * detail) / around) + np.float32(_FAINT)
    return detail


def _box_sum(values: Floats) -> Floats:
    """Sums over squares of 2 _LOCAL + 1 cells a side around each cell."""
    band = _band(values.shape[1])
    sums: Floats = band @ (values @ band)
    return sums


@cache
def _band(cells: int) -> Floats:
    """1 where two of `cells` cells along a side are at most _LOCAL apart; [cells, cells]."""
    at = np.arange(cells)
    band: Floats = (np.abs(at[:, None] - at) <= _LOCAL).astype(np.float32)
    return band
