"""Distributions of photos and answers, as a manifest's drift reference holds them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BINS = 10


def brightness_of(pixels: NDArray[np.uint8]) -> list[float]:
    """The mean brightness (0..1) of each photo of a batch [N, H, W, 3], from one pixel in 64."""
    sample = pixels[:, ::8, ::8]
    means: list[float] = (sample.sum((1, 2, 3)) / (255 * sample[0].size)).tolist()
    return means


def histogram(values: Sequence[float] | NDArray[np.float32]) -> list[float]:
    """The fractions of `values` (0..1) in BINS equal bins."""
    counts, _ = np.histogram(values, bins=BINS, range=(0.0, 1.0))
    return [round(float(count) / max(1, len(values)), 6) for count in counts]
