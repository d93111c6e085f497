"""The inference session interface: a batch of pixels in, probabilities and class-activation maps out."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class Inference(NamedTuple):
    """The output of the model for a batch of N photos.

    `probabilities` [N, C] float32 are calibrated and sum to 1; `activation_map` [N, C, h, w] float32 is each class's
    evidence by place (Zhou et al. 2016, https://arxiv.org/abs/1512.04150): its mean over all places is the logit.
    """

    probabilities: NDArray[np.float32]
    activation_map: NDArray[np.float32]

    def of(self, position: int) -> Inference:
        """The output for one photo: [C] and [C, h, w]."""
        return Inference(self.probabilities[position], self.activation_map[position])


class InferenceSession(Protocol):
    """A loaded model on any backend; thread-safe."""

    def infer(self, pixels: NDArray[np.uint8]) -> Inference:
        """Classify `pixels` [N, height, width, 3], RGB, 0..255."""
