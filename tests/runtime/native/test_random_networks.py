"""Networks of any shape, residuals of any scale: every instruction set gives the reference's bytes, layer by layer."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.native.layout import Instructions
from runtime.native.memory_planner import lay_out
from runtime.native.steps import Plan
from tests.runtime.native.layers import layers_bytes
from tests.runtime.native.models import every_variant, library_of, photos, variant_of
from tests.runtime.native.networks import random_network
from tests.support.suite.repeats import thorough_but

Named = tuple[Instructions, Instructions]
PHOTOS = 2
SEEDS, WITH_RESIDUALS = 12, 2
# own * byte + residual * byte + shift: as they occur, far apart, negative, beyond all bytes, halves that are ties.
SCALES = [
    (0.5, 0.5, 0.0),
    (1.0, 1.0, -255.5),
    (1 / 3, 2 / 3, 0.1),
    (5.0, 1e-7, 0.0),
    (1e-7, 5.0, 1000.0),
    (1e-7, 1e-7, 127.5),
    (3.999, 1.9e-6, -3.999),
    (0.0, 0.0, 7.5),
    (1.0000001, 0.9999999, -1000.0),
    (2**-19, 2**-20, 2**-21),
    (0.1, 0.7, 1e-30),
    (1e30, 1.0, 0.0),
    (-1e30, -1.0, 300.0),
]


def planned(seed: int, layout: Instructions) -> Plan:
    return lay_out(random_network(seed), layout)


@lru_cache(maxsize=SEEDS + len(SCALES))
def expected(seed: int, scales: tuple[float, float, float] | None) -> list[NDArray[np.uint8]]:
    """What the reference makes of it, laid out for an instruction set of ARM."""
    plan = planned(seed, "dotprod")
    scale(plan, scales)
    return list(layers_bytes(plan, library_of("reference"), photos(PHOTOS, plan.image_size)))


def scale(plan: Plan, scales: tuple[float, float, float] | None) -> None:
    """Residuals are added in this way, all of them, if there is one."""
    for step in plan.steps if scales else ():
        if step.residual >= 0:
            step.scale_own, step.scale_residual, step.shift = scales or ()


def assert_equal(plan: Plan, named: Named, wanted: list[NDArray[np.uint8]]) -> None:
    found = layers_bytes(plan, variant_of(named).library, photos(PHOTOS, plan.image_size))
    for number, (ours, theirs) in enumerate(zip(found, wanted, strict=True)):
        np.testing.assert_array_equal(ours, theirs, err_msg=f"layer {number}")


@pytest.mark.parametrize("seed", thorough_but(range(4), range(SEEDS)))
@every_variant
def test_every_layer_of_a_random_network_is_the_references(variant: Named, seed: int) -> None:
    assert_equal(planned(seed, variant_of(variant).layout), variant, expected(seed, None))


def test_bytes_of_all_values_occur_in_these_networks() -> None:
    assert len({value for seed in range(SEEDS) for layer in expected(seed, None) for value in np.unique(layer)}) == 256


@pytest.mark.parametrize("scales", SCALES)
@every_variant
def test_residuals_of_any_scale_are_added_and_rounded_as_the_reference_does(
    variant: Named, scales: tuple[float, float, float]
) -> None:
    """SSE4.1 has no fused multiply-add: it takes double precision where that is exact, else the scalar function."""
    plan = planned(WITH_RESIDUALS, variant_of(variant).layout)
    assert sum(step.residual >= 0 for step in plan.steps) > 1
    scale(plan, scales)
    assert_equal(plan, variant, expected(WITH_RESIDUALS, scales))
