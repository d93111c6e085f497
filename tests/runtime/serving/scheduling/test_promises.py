"""What `Retry-After` promises: later for each that is refused, and nothing is read of who comes too early."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack

import pytest

from runtime.serving.scheduling.admission import Overloaded
from runtime.serving.scheduling.heavy_lane import PATIENCE, HeavyLane
from runtime.serving.scheduling.promises import KEPT_S, MOST, MOST_UNREAD, SEVERAL, Arrival, Promises
from runtime.serving.scheduling.wait_estimate import FIRST_PACE_S
from tests.support.clock import Clock

HALF_A_SECOND = 0.5 / FIRST_PACE_S


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_each_that_is_refused_is_told_to_come_after_the_one_before():
    lane = HeavyLane(1, budget_s=1.0, on_thread_start=lambda: None)
    told = []
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(lane.admit("a", HALF_A_SECOND))
        for _ in range(6):
            with pytest.raises(Overloaded) as refused, lane.admit("a", HALF_A_SECOND):
                pass
            told.append(refused.value.retry_after_s)
    lane.close()
    assert told == [1, 2, 2, 3, 3, 4]


def test_whoever_finds_the_memory_full_of_heavy_photos_is_told_to_come_one_after_the_other():
    lane = HeavyLane(1, budget_s=1.0, on_thread_start=lambda: None)
    assert [lane.unread_due_s("a") for _ in range(3)] == [1, 1, 1]
    lane.close()
    lane = HeavyLane(1, budget_s=1.0, on_thread_start=lambda: None)
    with lane.admit("a", HALF_A_SECOND), lane.admit("a", HALF_A_SECOND):
        assert [lane.unread_due_s("a") for _ in range(5)] == [1, 1, 2, 2, 3]
    lane.close()


def test_a_client_with_several_promises_is_hasty_until_the_first_is_due(clock: Clock):
    promises = Promises(clock)
    for number in range(SEVERAL):
        assert promises.arrive("a") == Arrival(0)
        promises.make("a", 1.0, 2.0 + number)
    assert promises.arrive("a") == Arrival(hasty_s=2.0)
    assert promises.arrive("b") == Arrival(0)
    clock.now += 2.0
    assert promises.arrive("a") == Arrival(0, told_s=2.0)  # it comes in time, and its promise is kept
    assert promises.arrive("a") == Arrival(0)  # a few may be early


def test_what_is_due_no_longer_counts_as_work_to_come(clock: Clock):
    promises = Promises(clock)
    promises.make("a", 3.0, 1.0)
    promises.make("b", 4.0, 5.0)
    assert promises.cost_before("c", 9.0) == 7.0
    clock.now += 2.0
    assert promises.cost_before("c", 9.0) == 4.0


def test_what_others_are_to_bring_counts_as_far_as_it_is_fair_to_let_it_pass(clock: Clock):
    promises = Promises(clock)
    for _ in range(10):
        promises.make("greedy", 3.0, 1.0)
    assert promises.cost_before("greedy", 3.0) == 30.0
    assert promises.cost_before("other", 3.0) == 3.0


def test_a_promise_is_redeemed_once_by_who_comes_at_its_time(clock: Clock):
    promises = Promises(clock)
    promises.make("a", 1.0, 5.0)
    promises.make("a", 1.0, 2.0)
    assert promises.redeem("a") == 0
    clock.now += 2.0
    assert promises.arrive("a") == Arrival(0, told_s=2.0)  # as a large body begins
    assert [promises.redeem("b"), promises.redeem("a"), promises.redeem("a")] == [0, 2.0, 0]
    clock.now += 3.0
    assert [promises.redeem("a"), promises.redeem("a")] == [5.0, 0]
    promises.make("a", 1.0, 1.0)
    clock.now += 1.0
    promises.arrive("a")
    clock.now += KEPT_S + 1
    assert promises.redeem("a") == 0, "it came and was forgotten"


def test_the_promise_that_is_due_first_counts_though_it_was_made_last(clock: Clock):
    promises = Promises(clock)
    for seconds in (9.0, 8.0, 7.0, 1.0):
        promises.make("a", 1.0, seconds)
    assert promises.arrive("a").hasty_s == 1.0


def test_who_comes_when_told_is_let_in_though_the_work_ahead_takes_longer_than_expected():
    lane = HeavyLane(1, budget_s=0.1, on_thread_start=lambda: None)
    with lane.admit("a", HALF_A_SECOND):
        with pytest.raises(Overloaded) as refused, lane.admit("a", HALF_A_SECOND):
            pass
        with pytest.raises(Overloaded), lane.admit("a", HALF_A_SECOND):  # too early
            pass
        time.sleep(refused.value.retry_after_s)
        with lane.admit("a", HALF_A_SECOND):
            pass
    lane.close()


def test_who_comes_too_early_does_not_overtake_what_was_told_to_come_but_other_clients_do():
    lane = HeavyLane(1, budget_s=1.0, on_thread_start=lambda: None)
    with lane.admit("a", HALF_A_SECOND):
        for _ in range(SEVERAL):
            lane.unread_due_s("a")
        with pytest.raises(Overloaded), lane.admit("a", HALF_A_SECOND):
            pass
        with lane.admit("b", HALF_A_SECOND):
            pass
    with lane.admit("a", HALF_A_SECOND):  # a thread is free
        pass
    lane.close()


def test_who_is_refused_unread_is_told_to_come_after_the_others_up_to_a_limit():
    lane = HeavyLane(1, budget_s=1.0, on_thread_start=lambda: None)
    with lane.admit("a", HALF_A_SECOND), lane.admit("a", HALF_A_SECOND):
        told = [lane.unread_due_s("a") for _ in range(MOST_UNREAD + 20)]
    lane.close()
    assert told == sorted(told)
    assert told[:MOST_UNREAD:2] == list(range(1, MOST_UNREAD // 2 + 1))
    assert set(told[MOST_UNREAD:]) == {told[MOST_UNREAD - 1]}


def test_a_large_body_waits_for_memory_within_the_budget_and_for_longer_if_it_comes_when_it_was_told_to():
    lane = HeavyLane(1, budget_s=1.0, on_thread_start=lambda: None)
    with lane.admit("a", HALF_A_SECOND):
        assert [lane.patience_s("a", 0.0, ahead) for ahead in (0, 1, 2)] == [1.0, 1.0, 0.0]
        assert lane.patience_s("a", 3.0, 2) == 3.0 * PATIENCE
        lane.unread_due_s("a")
        lane.unread_due_s("a")
        assert lane.patience_s("a", 0.0, 0) == 0.0, "those who were told to come are before it"
    lane.close()


def test_who_finds_others_of_its_client_waiting_for_memory_is_told_to_come_after_them():
    lane = HeavyLane(1, budget_s=1.0, on_thread_start=lambda: None)
    with lane.admit("a", HALF_A_SECOND):
        assert lane.unread_due_s("a", ahead=4) == 3
    lane.close()


def test_the_start_of_a_child_process_is_part_of_the_wait():
    prepared = []
    lane = HeavyLane(1, budget_s=1.0, on_thread_start=lambda: None, ready_in_s=lambda: 7.0, prepare=prepared.append)
    assert lane.expected_wait_s("a", HALF_A_SECOND) == 0
    with lane.admit("a", HALF_A_SECOND) as booking:
        assert lane.expected_wait_s("a", HALF_A_SECOND) == pytest.approx(7.5)
        assert asyncio.run(lane.run(booking, lambda: 3, HALF_A_SECOND)) == 3
    lane.close()
    assert prepared == [HALF_A_SECOND]


def test_promises_are_forgotten(clock: Clock):
    promises = Promises(clock)
    for number in range(3 * MOST):
        promises.make(str(number % 7), 1.0, 1.0)
    assert promises._count <= MOST
    clock.now += KEPT_S + 2
    promises.make("late", 1.0, 1.0)
    assert promises._count == 1
    assert list(promises._of) == ["late"]
