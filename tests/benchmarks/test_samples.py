from __future__ import annotations

import pytest

from benchmarks.samples import Estimate, interleave, median_of, ratio_of_medians


def test_contenders_take_turns_and_another_one_begins_each_round() -> None:
    order: list[str] = []

    def contender(name: str) -> float:
        order.append(name)
        return float(len(order))

    samples = interleave({name: lambda name=name: contender(name) for name in "abc"}, 2, warm_up=1, what="t")  # type: ignore[misc]
    assert "".join(order) == "abcbcacab"
    assert samples == {"a": [6.0, 8.0], "b": [4.0, 9.0], "c": [5.0, 7.0]}


def test_the_median_lies_in_its_interval() -> None:
    estimate = median_of([1.0, 2.0, 3.0, 4.0, 100.0])
    assert estimate.value == 3.0
    assert estimate.low <= 3.0 <= estimate.high
    assert median_of([5.0] * 9) == Estimate(5.0, 5.0, 5.0)


def test_a_ratio_is_one_of_medians_and_repeats() -> None:
    slow, fast = [10.0, 11.0, 10.0, 9.0, 10.0] * 4, [2.0, 2.1, 1.9, 2.0, 2.0] * 4
    estimate = ratio_of_medians(slow, fast)
    assert estimate.value == pytest.approx(5.0)
    assert estimate.clear
    assert estimate == ratio_of_medians(slow, fast)


def test_a_wide_interval_is_not_clear() -> None:
    assert not Estimate(5.0, 3.0, 8.0).clear
    assert Estimate(5.0, 4.8, 5.2).clear
