"""Near copies: photos whose features are nearly the same, which must not be learned from and tested on at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime.teaching.examples import Sums

# Cosine of the features of two photos from which on one is a near copy of the other. Of the 79 800 pairs of the public
# photos the most alike that are not copies have 0.963. Copies of one at JPEG quality 50, or without 1 % at each edge,
# have 0.98 in the median, brighter ones 0.99; but copies of half the size 0.90, as different photos of one meadow.
SIMILAR = 0.97
LEAST_GROUPS = 3
_CHUNK = 1024  # photos: 8 MB of products


def near_copies(features: Sums, truth: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number [N] for each photo, the same for near copies within a class.

    `features` [N, D] are of one view. A camera that does not move makes near copies alone: of a class with fewer than
    LEAST_GROUPS groups of them only true copies have the same number.
    """
    groups = np.zeros(len(truth), np.int64)
    for each in np.unique(truth):
        rows = np.flatnonzero(truth == each)
        found = _grouped(features[rows], SIMILAR)
        if len(np.unique(found)) < LEAST_GROUPS:
            found = np.unique(features[rows], axis=0, return_inverse=True)[1]
            found = np.unique(found, return_index=True)[1][found]
        groups[rows] = rows[found]
    return groups


def distinct(features: Sums, truth: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """How many photos of each class [C] are not copies of another to the last bit of their features [N, D]."""
    return np.array([len(np.unique(features[truth == each], axis=0)) for each in range(classes)], np.int64)


def _grouped(features: Sums, limit: float) -> NDArray[np.int64]:
    """The first photo of each photo's group, [N]: groups are what chains of near copies join."""
    parts = [features[start : start + _CHUNK] for start in range(0, len(features), _CHUNK)]
    lengths = [np.einsum("nd,nd->n", part.astype(np.float64), part.astype(np.float64)) for part in parts]
    group = np.arange(len(features))
    for row, (part, length) in enumerate(zip(parts, lengths, strict=True)):
        for column, (other, other_length) in enumerate(zip(parts[: row + 1], lengths, strict=False)):
            # Exact: products of 32 bits, of which float64 holds sums of two million.
            products = part.astype(np.float64) @ other.astype(np.float64).T
            alike = products * products >= limit**2 * (length[:, np.newaxis] * other_length)
            if row == column:
                np.fill_diagonal(alike, False)
            for one in np.flatnonzero(alike.any(axis=1)).tolist():
                _join(group, row * _CHUNK + one, column * _CHUNK + np.flatnonzero(alike[one]))
    return group


def _join(group: NDArray[np.int64], photo: int, others: NDArray[np.int64]) -> None:
    """Make the groups of a photo and of `others` one. A camera that stands still makes too many pairs to list them."""
    joined = group[np.append(others, photo)]
    lowest = int(joined.min())
    for each in np.unique(joined[joined != lowest]).tolist():
        group[group == each] = lowest
