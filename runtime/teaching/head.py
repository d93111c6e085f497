"""The head: a linear classifier on the features of a backbone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Head:
    """Logits are `features @ weights + bias`, for features [N, D] in the backbone's own unit.

    `weights` [D, C] and `bias` [C] are float64. The last of the C outputs is the unknown class, if there is one.
    """

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
