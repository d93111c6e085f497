"""Labelled examples: the features of photos, with their classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Sums = NDArray[np.uint16]


@dataclass(frozen=True)
class Examples:
    """N photos of C classes, as the backbone sees them.

    `features` [N, V, D] are of V views of each photo, of which the first is the photo as it is served; the unit is that
    of `Backbone.scale`. `truth` [N] are indices of `labels`; `photos` are the SHA-256 of each; `brightness` [N] is the
    mean of each, 0..1.
    """

    labels: Sequence[str]
    photos: Sequence[str]
    truth: NDArray[np.int64]
    features: Sums
    brightness: NDArray[np.float32]

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many photos each class has, [C]."""
        return np.bincount(self.truth, minlength=len(self.labels))
