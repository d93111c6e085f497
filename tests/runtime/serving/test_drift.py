from __future__ import annotations

import math

import numpy as np
import pytest

from runtime.bundle.manifest import DriftReference
from runtime.serving.drift import FEWEST, WINDOW, Drift, histogram, stability_index

CALM = DriftReference(labels={"dandelion": 0.5, "grass": 0.5}, confidence=[0] * 9 + [1], brightness=[0.1] * 10)


def watched(photos: int, *, dandelions: float = 0.5, confidence: float = 0.99, dark: bool = False) -> dict[str, float]:
    drift = Drift(CALM)
    brightness = np.zeros(photos) if dark else np.linspace(0, 0.999, photos)
    for number in range(photos):
        drift.see("dandelion" if number % 100 < 100 * dandelions else "grass", confidence, float(brightness[number]))
    return drift.indices()


def test_with_few_photos_nothing_is_claimed():
    assert all(math.isnan(index) for index in watched(FEWEST - 1).values())


def test_photos_like_those_of_the_validation_are_no_drift():
    assert all(index < 0.1 for index in watched(WINDOW).values())


@pytest.mark.parametrize(
    ("signal", "changes"),
    [("labels", {"dandelions": 0.95}), ("confidence", {"confidence": 0.55}), ("brightness", {"dark": True})],
)
def test_each_signal_tells_its_own_change(signal: str, changes: dict[str, float]):
    indices = watched(WINDOW, **changes)
    assert indices.pop(signal) > 0.25
    assert all(index < 0.1 for index in indices.values())


def test_old_photos_are_forgotten():
    drift = Drift(CALM)
    for _ in range(WINDOW):
        drift.see("grass", 0.5, 0.0)
    for number in range(WINDOW):
        drift.see("grass" if number % 2 else "dandelion", 0.99, number / WINDOW)
    assert drift.indices() == watched(WINDOW)


def test_the_index_of_a_known_pair_of_distributions():
    assert stability_index([0.5, 0.5], [0.5, 0.5]) == 0
    assert stability_index([0.5, 0.5], [0.9, 0.1]) == pytest.approx(
        0.4 * math.log(0.9 / 0.5) - 0.4 * math.log(0.1 / 0.5)
    )
    assert math.isfinite(stability_index([1.0, 0.0], [0.0, 1.0]))


def test_a_histogram_holds_both_ends():
    assert histogram([0.0, 1.0, 0.55]) == pytest.approx([1 / 3, 0, 0, 0, 0, 1 / 3, 0, 0, 0, 1 / 3], abs=1e-6)
