from __future__ import annotations

import numpy as np
import pytest

from runtime.teaching.learning.learning_curve import USUAL_POWER, next_ten, power_of


def test_many_errors_tell_the_power_by_which_they_fall() -> None:
    few = 40000
    assert power_of(few, round(few * 1.6**-0.7), 1.6) == pytest.approx(0.7, abs=0.01)


def test_a_few_errors_leave_the_usual_power() -> None:
    assert power_of(3, 2, 1.6) == pytest.approx(USUAL_POWER, abs=0.05)
    assert power_of(0, 0, 1.6) == pytest.approx(USUAL_POWER, abs=0.05)


def test_errors_that_rise_promise_next_to_nothing() -> None:
    assert power_of(20000, 30000, 1.6) == 0.05


def test_ten_more_photos_bring_most_where_there_are_few_and_many_are_wrong() -> None:
    few, many, perfect = next_ten(np.array([10, 200, 200]), np.array([7, 190, 200]), 0.35)
    assert few is not None
    assert many is not None
    assert perfect is not None
    assert few > 10 * many > 10 * perfect >= 0
    assert few == pytest.approx(3.5 / 11 * (1 - 2**-0.35) / 3, abs=1e-4)


def test_of_a_handful_of_photos_nothing_can_be_told() -> None:
    assert next_ten(np.array([4, 5]), np.array([2, 2]), 0.35)[0] is None
    assert next_ten(np.array([4, 5]), np.array([2, 2]), 0.35)[1] is not None
