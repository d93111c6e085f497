"""Candidates: every photo against every window of every other, in the eight symmetries."""

from __future__ import annotations

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
    photos = symmetric(described[:, 0]).reshape(SYMMETRIES * len(grey), -1)
    found = [np.zeros((4, 0), np.int64)]
    with progress("compare", len(grey)) as advance:
        for whole, windows in enumerate(described):
            found.append(_parts_of(whole, windows, photos))
            advance()
    return Candidates(*np.concatenate(found, axis=1))


def _parts_of(whole: int, windows: NDArray[np.float32], photos: NDArray[np.float32]) -> NDArray[np.int64]:
    """Photos that look like one of the windows [W, D] of the photo `whole`: the fields of Candidates, [4, P]."""
    alike = (photos @ windows.T).reshape(SYMMETRIES, -1, len(WINDOWS))
    best = alike.max(axis=(0, 2))
    best[whole] = 0
    parts = np.flatnonzero(best >= PROMISING)
    chosen = alike[:, parts].transpose(1, 0, 2).reshape(len(parts), -1).argmax(axis=1) if len(parts) else parts
    return np.stack([np.full_like(parts, whole), parts, chosen // len(WINDOWS), chosen % len(WINDOWS)])
