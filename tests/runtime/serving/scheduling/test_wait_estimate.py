from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from runtime.serving.scheduling.wait_estimate import FIRST_PACE_S, WaitEstimate
from tests.support.clock import Clock

MEGA = 1e6


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("runtime.serving.scheduling.wait_estimate.time", SimpleNamespace(perf_counter=clock))
    return clock


def work(estimate: WaitEstimate, clock: Clock, cost: float, pace_s: float) -> None:
    job = estimate.begin(estimate.book("a", cost, 1), cost)
    clock.now += cost * pace_s
    estimate.end(job, complete=True)


def test_a_free_thread_is_no_wait(clock: Clock):
    two = WaitEstimate(2)
    two.book("a", 60 * MEGA, 1)
    assert two.wait_s("a", MEGA) == 0
    two.book("a", 60 * MEGA, 1)
    assert two.wait_s("a", MEGA) == pytest.approx(60 * MEGA * FIRST_PACE_S)


def test_giants_count_by_their_cost(clock: Clock):
    small, large = WaitEstimate(1), WaitEstimate(1)
    small.book("a", 6 * MEGA, 1)
    large.book("a", 60 * MEGA, 1)
    assert large.wait_s("a", MEGA) == pytest.approx(10 * small.wait_s("a", MEGA))


@pytest.mark.parametrize("slower", [0.5, 1, 8])
def test_the_time_that_is_told_proves_true_within_a_factor_of_two_however_slow_the_host(clock: Clock, slower: float):
    estimate, pace_s = WaitEstimate(1), slower * FIRST_PACE_S
    for cost in (20, 60, 8, 30):
        work(estimate, clock, cost * MEGA, pace_s)
    booking = estimate.book("a", 400 * MEGA, 20)
    for done in range(19):
        job = estimate.begin(booking, 20 * MEGA)
        for part in (0.1, 0.4, 0.4):
            clock.now += part * 20 * MEGA * pace_s
            true_s = (400 - 20 * done) * MEGA * pace_s - (clock.now - job.began)
            assert true_s / 2 <= estimate.wait_s("a", MEGA) <= true_s * 2
        clock.now += 0.1 * 20 * MEGA * pace_s
        estimate.end(job, complete=True)


def test_a_running_job_that_takes_longer_than_expected_corrects_the_estimate_before_it_ends(clock: Clock):
    estimate = WaitEstimate(1)
    estimate.begin(estimate.book("a", 20 * MEGA, 1), 20 * MEGA)
    estimate.book("a", 100 * MEGA, 5)
    clock.now += 20 * MEGA * FIRST_PACE_S * 10
    assert estimate.wait_s("a", MEGA) > 5 * 120 * MEGA * FIRST_PACE_S


def test_the_first_large_photo_corrects_the_pace(clock: Clock):
    estimate = WaitEstimate(1)
    work(estimate, clock, 12 * MEGA, 5 * FIRST_PACE_S)
    assert 4 * FIRST_PACE_S < estimate.seconds_for(1.0) < 5 * FIRST_PACE_S
    for _ in range(20):
        work(estimate, clock, 12 * MEGA, 5 * FIRST_PACE_S)
    work(estimate, clock, 12 * MEGA, 50 * FIRST_PACE_S)
    assert estimate.seconds_for(1.0) < 17 * FIRST_PACE_S, "one of many says little"


def test_the_giants_of_one_client_are_no_long_wait_for_another(clock: Clock):
    estimate = WaitEstimate(1)
    booking = estimate.book("greedy", 1000 * MEGA, 50)
    estimate.begin(booking, 20 * MEGA)
    assert estimate.wait_s("greedy", 20 * MEGA) == pytest.approx(1000 * MEGA * FIRST_PACE_S)
    assert estimate.wait_s("other", 20 * MEGA) == pytest.approx(20 * MEGA * FIRST_PACE_S)
    assert estimate.wait_s("other", 60 * MEGA) == pytest.approx(60 * MEGA * FIRST_PACE_S)


def test_a_job_that_fails_at_once_says_nothing_of_the_pace(clock: Clock):
    estimate = WaitEstimate(1)
    job = estimate.begin(estimate.book("a", 60 * MEGA, 1), 60 * MEGA)
    estimate.end(job, complete=False)
    estimate.book("a", 60 * MEGA, 1)
    assert estimate.wait_s("a", MEGA) == pytest.approx(60 * MEGA * FIRST_PACE_S)


def test_what_is_given_up_is_forgotten_and_what_runs_still_counts(clock: Clock):
    estimate = WaitEstimate(1)
    booking = estimate.book("a", 200 * MEGA, 10)
    job = estimate.begin(booking, 20 * MEGA)
    estimate.release(booking)
    assert estimate.wait_s("a", MEGA) == pytest.approx(20 * MEGA * FIRST_PACE_S)
    assert estimate.waiting == 0
    estimate.end(job, complete=True)
    assert estimate.wait_s("a", MEGA) == 0
    assert math.isclose(estimate.waiting, 0)
