"""What the model says of the validation photos, for the appliance to compare later photos with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime.bundle import Reference
from runtime.drift import histogram
from runtime.engine import brightness_of
from training.scores import Predictions


def reference_of(predictions: Predictions, pixels: NDArray[np.uint8]) -> Reference:
    """The mix of predicted labels, and histograms of confidence and of brightness of `pixels` [N, H, W, 3]."""
    counts = np.bincount(predictions.predicted, minlength=len(predictions.labels))
    shares = [round(float(count) / len(pixels), 6) for count in counts]
    return Reference(
        labels=dict(zip(predictions.labels, shares, strict=True)),
        confidence=histogram(predictions.confidence),
        brightness=histogram(brightness_of(pixels)),
    )
