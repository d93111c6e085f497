from __future__ import annotations

import pytest

from benchmarks.statistics.samples import (
    Estimate,
    interleave,
    median_of,
    p99_of,
    ratio_of_medians,
    ratio_of_p99,
    share_of,
)


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


def test_whole_seconds_are_drawn_for_a_share() -> None:
    steady = share_of([[1, 1, 0, 1]] * 30)
    assert (steady.value, steady.low, steady.high) == (0.75, 0.75, 0.75)
    at_times = share_of([[1, 1, 1, 1]] * 20 + [[0, 0, 0, 0]] * 10)
    assert at_times.value == pytest.approx(2 / 3)
    assert at_times.high - at_times.low > 0.2
    assert share_of([]) == Estimate(0.0, 0.0, 0.0)


def test_a_bad_second_shows_in_the_99th_percentile() -> None:
    calm, bad = [[10.0] * 20] * 30, [[10.0] * 20] * 29 + [[500.0] * 20]
    assert p99_of(calm) == Estimate(10.0, 10.0, 10.0)
    assert ratio_of_p99(bad, calm).value == 50.0
    assert ratio_of_p99(bad, calm).low == 1.0


def test_without_a_sample_there_is_no_99th_percentile() -> None:
    assert p99_of([[], []]).value == ratio_of_p99([[]], [[1.0]]).value == float("inf")
