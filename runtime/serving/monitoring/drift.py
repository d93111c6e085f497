"""Data drift, out-of-distribution monitoring: the population stability index (PSI) of recent photos."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Sequence

import numpy as np

from runtime.bundle.manifest import DriftReference
from runtime.image.distributions import histogram
from runtime.names import UNKNOWN

WINDOW = 1000  # photos: enough for ten bins, few enough to notice
FEWEST = 100  # with fewer photos an index is noise
FLOOR = 1e-3  # an empty bin counts as this fraction, since a logarithm cannot take nothing

SIGNALS = ("labels", "confidence", "brightness")


class Drift:
    """A sliding window of the last WINDOW photos, compared with the validation photos."""

    def __init__(self, reference: DriftReference) -> None:
        """Start with an empty window; `reference` holds the distributions of the validation photos."""
        self._reference = reference
        self._window: deque[tuple[str, float, float]] = deque(maxlen=WINDOW)
        self._lock = threading.Lock()

    def see(self, label: str, confidence: float, brightness: float) -> None:
        """Add one photo to the window, under a label or UNKNOWN; `confidence` and `brightness` are in 0..1."""
        with self._lock:
            self._window.append((label, confidence, brightness))

    def indices(self) -> dict[str, float]:
        """The population stability index of each of SIGNALS; NaN while the window holds fewer than FEWEST photos.

        By convention, below 0.1 is no shift and above 0.25 a large one. That of the confidence is of photos with a
        label alone: the others' is confidence in something else.
        """
        with self._lock:
            seen = list(self._window)
        if len(seen) < FEWEST:
            return dict.fromkeys(SIGNALS, math.nan)
        labels, _, brightnesses = zip(*seen, strict=True)
        expected = {UNKNOWN: 0.0} | self._reference.labels
        found = [labels.count(name) / len(labels) for name in expected]
        return {
            "labels": stability_index(list(expected.values()), found),
            "confidence": self._of_confidences([confidence for label, confidence, _ in seen if label != UNKNOWN]),
            "brightness": stability_index(self._reference.brightness, histogram(brightnesses)),
        }

    def _of_confidences(self, confidences: Sequence[float]) -> float:
        if len(confidences) < FEWEST:
            return math.nan
        return stability_index(self._reference.confidence, histogram(confidences))


def stability_index(expected: Sequence[float], found: Sequence[float]) -> float:
    """The population stability index of two distributions over the same bins: sum of (f - e) ln(f / e)."""
    e, f = (np.maximum(np.asarray(part, np.float64), FLOOR) for part in (expected, found))
    return float(((f - e) * np.log(f / e)).sum())
