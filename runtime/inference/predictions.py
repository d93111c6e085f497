"""Predictions and answers, as the API sends them in JSON."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray


class ModelName(msgspec.Struct, frozen=True):
    """Which model answered."""

    name: str
    version: str


class Timings(msgspec.Struct, frozen=True):
    """Milliseconds: decoding and resizing, inference, and all of it with the wait for a free worker."""

    decode: float
    infer: float
    total: float


class Prediction(msgspec.Struct, frozen=True):
    """The prediction for one photo. `uncertain` is abstention: do not rely on the label.

    `damaged` is true of a photo of which pieces are missing: the label is about what is left of it.
    """

    label: str
    confidence: float
    probabilities: dict[str, float]
    uncertain: bool
    damaged: bool = False


class Answer(Prediction, frozen=True, kw_only=True):
    """A prediction, the model that made it, and its latency."""

    model: ModelName
    timings_ms: Timings


def predict(
    probabilities: NDArray[np.float32], labels: Sequence[str], threshold: float, *, damaged: bool = False
) -> Prediction:
    """The prediction from `probabilities` [C] of one photo; it abstains (`uncertain`) below `threshold`."""
    values = probabilities.tolist()
    best = max(range(len(values)), key=values.__getitem__)
    return Prediction(
        label=labels[best],
        confidence=round(values[best], 4),
        probabilities={label: round(p, 4) for label, p in zip(labels, values, strict=True)},
        uncertain=values[best] < threshold,
        damaged=damaged,
    )


def milliseconds(seconds: float) -> float:
    """Seconds in ms, to the microsecond."""
    return round(seconds * 1000, 3)
