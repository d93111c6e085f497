from __future__ import annotations

import pytest

from runtime.serving.scheduling.fair_queue import FairQueue


def drained(queue: FairQueue[str]) -> list[str]:
    return [queue.get() for _ in range(len(queue))]


def test_one_client_is_served_in_the_order_of_its_coming():
    queue = FairQueue[str]()
    for item in "abc":
        queue.put(item, "one", 5)
    assert drained(queue) == ["a", "b", "c"]
    with pytest.raises(IndexError):
        queue.get()


def test_a_newcomer_goes_before_the_second_job_of_one_who_has_queued_many():
    queue = FairQueue[str]()
    for number in range(50):
        queue.put(f"many {number}", "greedy", 10)
    assert queue.get() == "many 0"
    queue.put("newcomer", "other", 10)
    assert [queue.get(), queue.get()] == ["newcomer", "many 1"]


def test_clients_share_by_cost_and_not_by_number():
    queue = FairQueue[str]()
    for _ in range(20):
        queue.put("large", "a", 40)
        queue.put("small", "b", 10)
    first = [queue.get() for _ in range(20)]
    assert first.count("small") == pytest.approx(4 * first.count("large"), abs=4)


def test_who_was_idle_has_saved_up_no_claim():
    queue = FairQueue[str]()
    for _ in range(10):
        queue.put("a", "a", 10)
        queue.get()
    for _ in range(4):
        queue.put("b", "b", 10)
        queue.put("a", "a", 10)
    assert sorted(drained(queue)[:4]) == ["a", "a", "b", "b"]


def test_what_is_removed_is_not_served_and_clients_that_are_done_are_forgotten():
    queue = FairQueue[str]()
    for number in range(1000):
        queue.put(str(number), f"client {number}", 1)
    assert queue.remove(lambda item: item != "7") == [str(number) for number in range(1000) if number != 7]
    assert drained(queue) == ["7"]
    for number in range(1000):
        queue.put("x", f"another {number}", 1)
        queue.get()
    assert len(queue._ends) < 50
