import pytest

from benchmarks.statistics.samples import FEWEST, Estimate, interleave, median_of, order, p95_of, ratio_of_medians


def test_each_contender_follows_every_other_equally_often():
    followed = [pair for turn in range(6) for pair in zip(order("abc", turn), order("abc", turn)[1:], strict=False)]
    assert {pair: followed.count(pair) for pair in followed} == dict.fromkeys(
        [(a, b) for a in "abc" for b in "abc" if a != b], 2
    )


def test_the_order_rotates_and_then_turns_round():
    assert ["".join(order("abc", turn)) for turn in range(6)] == ["abc", "bca", "cab", "cba", "acb", "bac"]


def test_warm_up_rounds_run_and_are_left_out():
    calls: list[str] = []

    def contender(name: str):
        def run() -> int:
            calls.append(name)
            return calls.count(name)

        return run

    samples = interleave({name: contender(name) for name in "ab"}, 3, warm_up=2, what="test")
    assert samples == {"a": [3, 4, 5], "b": [3, 4, 5]}
    assert calls == ["a", "b", "b", "a", "b", "a", "a", "b", "a", "b"]


def test_a_median_lies_in_its_interval_within_the_samples():
    estimate = median_of([5.0, 1.0, 9.0, 3.0, 7.0, 4.0, 6.0])
    assert estimate.value == 5.0
    assert 1.0 <= estimate.low <= 5.0 <= estimate.high <= 9.0


def test_equal_samples_have_an_interval_without_width():
    assert median_of([2.0] * FEWEST) == Estimate(2.0, 2.0, 2.0)


def test_a_ratio_is_drawn_in_pairs():
    # Every round is exactly three times as slow, though the rounds differ twentyfold.
    below = [1.0, 2.0, 5.0, 10.0, 20.0, 3.0, 4.0]
    ratio = ratio_of_medians([3 * sample for sample in below], below)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((3.0, 3.0, 3.0))
    assert ratio.clear
    assert ratio.differs


def test_a_ratio_from_noise_is_not_clear():
    ratio = ratio_of_medians([1.0, 9.0, 1.0, 9.0, 1.0, 9.0, 4.0], [9.0, 1.0, 9.0, 1.0, 9.0, 1.0, 4.0])
    assert not ratio.clear
    assert not ratio.differs


def test_a_narrow_interval_around_one_shows_no_difference():
    assert Estimate(1.0, 0.99, 1.01).clear
    assert not Estimate(1.0, 0.99, 1.01).differs


def test_of_too_few_samples_the_interval_is_their_whole_range():
    assert median_of([1.0, 2.0, 3.0, 4.0, 100.0]) == Estimate(3.0, 1.0, 100.0)
    assert ratio_of_medians([2.0, 6.0, 12.0], [1.0, 2.0, 3.0]) == Estimate(3.0, 2.0, 4.0)


def test_samples_that_do_not_pair_are_refused():
    with pytest.raises(ValueError, match="6 and 7 samples do not pair"):
        ratio_of_medians([1.0] * 6, [1.0] * 7)


def test_the_95th_percentile_needs_twenty_samples():
    assert p95_of([1.0] * 19) is None
    assert p95_of([float(value) for value in range(21)]) == pytest.approx(19.0)  # 0..20: 0.95 x 20
