from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from runtime.bundle.manifest import DriftReference
from runtime.image.distributions import histogram
from runtime.names import UNKNOWN
from runtime.serving.monitoring.drift import FEWEST, WINDOW, Drift, stability_index

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


def with_unknown(share: float, reference: DriftReference) -> dict[str, float]:
    """The indices of calm photos among which that share is unknown; how sure that is, says nothing of the labels."""
    drift = Drift(reference)
    for number in range(WINDOW):
        if number % 100 < 100 * share:
            drift.see(UNKNOWN, 0.55, number / WINDOW)
        else:
            drift.see("dandelion" if number % 2 else "grass", 0.99, number / WINDOW)
    return drift.indices()


@pytest.mark.parametrize("told", [{}, {UNKNOWN: 0.0}])
def test_unknown_photos_are_one_label_more_and_no_confidence(told: dict[str, float]):
    reference = msgspec.structs.replace(CALM, labels=CALM.labels | told)
    assert with_unknown(0.0, reference) == with_unknown(0.0, CALM)
    indices = with_unknown(0.2, reference)
    assert indices.pop("labels") > 0.25
    assert all(index < 0.1 for index in indices.values())


def test_a_share_of_unknown_photos_as_in_the_validation_is_no_drift():
    reference = msgspec.structs.replace(CALM, labels={"dandelion": 0.4, "grass": 0.4, UNKNOWN: 0.2})
    assert with_unknown(0.2, reference)["labels"] < 0.01


def test_where_nearly_all_photos_are_unknown_nothing_is_claimed_of_the_confidence():
    indices = with_unknown(0.95, CALM)
    assert math.isnan(indices["confidence"])
    assert indices["labels"] > 0.25


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
