"""Probabilities of class scores by the native kernel: mean over the places, bias, temperature, softmax."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime.native.library import Library


def softmax_of(
    library: Library, scores: NDArray[np.float32], bias: NDArray[np.float32], temperature: np.float32
) -> NDArray[np.float32]:
    """[N, C] of `scores` [N, C, ...places] and `bias` [C]: the same bytes on every processor, unlike NumPy's exp.

    Both are contiguous.
    """
    photos, classes = scores.shape[:2]
    probabilities = np.empty((photos, classes), np.float32)
    places = int(np.prod(scores.shape[2:]))
    library.probabilities(
        scores.ctypes.data,
        photos,
        classes,
        places,
        bias.ctypes.data,
        float(temperature),
        probabilities.ctypes.data,
    )
    return probabilities
