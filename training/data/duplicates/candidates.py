"""Candidates: every photo against every window of every other, in the eight symmetries."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.cli.progress import progress
from training.data.duplicates.windows import SYMMETRIES, WINDOWS, describe, symmetric

# Cosine of two descriptors. Crops that fall between two windows reach 0.75; of pairs of different photos one in a
# hundred reaches this.
PROMISING = 0.68


class Candidates(NamedTuple):
    """P pairs: the photo `part`, in one of the eight symmetries, may be the window of the photo `whole`; each [P]."""

    whole: NDArray[np.int64]
    part: NDArray[np.int64]
    symmetry: NDArray[np.int64]
    window: NDArray[np.int64]


def find_candidates(grey: NDArray[np.float32], aspects: NDArray[np.float32]) -> Candidates:
    """The promising pairs among N thumbnails [N, SIDE, SIDE], each with its best window and symmetry.

    Takes time in proportion to N squared.
    """
    described = describe(grey, aspects)
    photos = np.ascontiguousarray(symmetric(described[:, 0]).reshape(SYMMETRIES * len(grey), -1).T)
    found = [np.zeros((4, 0), np.int64)]
    with ThreadPoolExecutor() as pool, progress("compare", len(grey)) as advance:
        for parts in pool.map(lambda whole: _parts_of(whole, described[whole], photos), range(len(grey))):
            found.append(parts)
            advance()
    return Candidates(*np.concatenate(found, axis=1))


def _parts_of(whole: int, windows: NDArray[np.float32], photos: NDArray[np.float32]) -> NDArray[np.int64]:
    """Photos [D, 8 * N] that look like one of the windows [W, D] of the photo `whole`: Candidates' fields, [4, P]."""
    alike = windows @ photos  # [W, 8 * N]: the maximum over the first axis is the cheap one
    best = alike.max(axis=0).reshape(SYMMETRIES, -1).max(axis=0)
    best[whole] = 0
    parts = np.flatnonzero(best >= PROMISING)
    if not len(parts):
        return np.zeros((4, 0), np.int64)
    of_parts = alike.reshape(len(WINDOWS), SYMMETRIES, -1)[:, :, parts].transpose(2, 1, 0)
    chosen = of_parts.reshape(len(parts), -1).argmax(axis=1)
    return np.stack([np.full_like(parts, whole), parts, chosen // len(WINDOWS), chosen % len(WINDOWS)])
