"""What a model says of a batch of photos, whichever kernel computed it."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from runtime.image import ImageSpec

# Waiting photos inferred at once. A large input gains less by company, and costs each core megabytes a photo.
MOST = 8
MOST_PIXELS = 4 * 224**2  # of all of them


class Inference(NamedTuple):
    """What the model says of a batch of N photos.

    `probabilities` [N, C] float32 are calibrated and sum to 1; `activation_map` [N, C, h, w] float32 is each class's
    evidence by place (Zhou et al. 2016, https://arxiv.org/abs/1512.04150): its mean over the places is the logit.
    """

    probabilities: NDArray[np.float32]
    activation_map: NDArray[np.float32]

    def of(self, position: int) -> Inference:
        """What it says of one photo: [C] and [C, h, w]."""
        return Inference(self.probabilities[position], self.activation_map[position])


class Infers(Protocol):
    """A model that is loaded, whatever computes it; several threads may call it at once."""

    def infer(self, pixels: NDArray[np.uint8]) -> Inference:
        """Classify `pixels` [N, height, width, 3], RGB, 0..255."""


def at_once(spec: ImageSpec) -> int:
    """How many waiting photos become one batch: MOST, fewer where the model's input is large."""
    return max(1, min(MOST, MOST_PIXELS // (spec.height * spec.width)))
