"""What `Retry-After` promises: later for each that is refused, and nothing is read of who comes too early."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from runtime.serving.scheduling.admission import Overloaded
from runtime.serving.scheduling.heavy_lane import HeavyLane
from runtime.serving.scheduling.promises import KEPT_S, MOST, SEVERAL, Promises
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
    assert [lane.memory_due_s() for _ in range(3)] == [1, 1, 1]
    with lane.admit("a", HALF_A_SECOND), lane.admit("a", HALF_A_SECOND):
        assert [lane.memory_due_s() for _ in range(5)] == [1, 1, 2, 2, 3]
    lane.close()


def test_a_client_with_several_promises_is_hasty_until_the_first_is_due(clock: Clock):
    promises = Promises(clock)
    for number in range(SEVERAL):
        assert promises.hasty_s("a") == 0
        promises.make("a", 1.0, 2.0 + number)
    assert promises.hasty_s("a") == 2.0
    assert promises.hasty_s("b") == 0
    clock.now += 2.0
    assert promises.hasty_s("a") == 0  # it comes in time, and its promise is kept
    assert promises.hasty_s("a") == 0  # a few may be early


def test_what_is_due_no_longer_counts_as_work_to_come(clock: Clock):
    promises = Promises(clock)
    promises.make("a", 3.0, 1.0)
    promises.make("b", 4.0, 5.0)
    assert promises.cost == 7.0
    clock.now += 2.0
    assert promises.cost == 4.0


def test_promises_are_forgotten(clock: Clock):
    promises = Promises(clock)
    for number in range(3 * MOST):
        promises.make(str(number % 7), 1.0, 1.0)
    assert promises._count <= MOST
    clock.now += KEPT_S + 2
    promises.make("late", 1.0, 1.0)
    assert promises._count == 1
    assert list(promises._of) == ["late"]
