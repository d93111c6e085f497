"""Drawn features: what a ReLU leaves of photos of several classes, in integers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SCALE = 1 / 256


def drawn_features(
    truth: NDArray[np.int64], *, dimensions: int = 64, seed: int = 0, noise: float = 0.5, views: int = 1
) -> NDArray[np.uint16]:
    """Features [N, V, D] of photos of the classes `truth` [N]; views of one photo are nearly the same."""
    generator = np.random.default_rng([seed, dimensions])
    centres = generator.normal(0.3, 0.5, (int(truth.max()) + 1, dimensions))
    photos = centres[truth] + generator.normal(0, noise, (len(truth), dimensions))
    seen = photos[:, np.newaxis] + generator.normal(0, 0.1, (len(truth), views, dimensions))
    return np.rint(np.maximum(seen, 0) / SCALE).astype(np.uint16)
