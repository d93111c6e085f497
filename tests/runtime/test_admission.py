from __future__ import annotations

from types import SimpleNamespace

import pytest

from runtime.admission import Line, Overloaded


def line(**changes: float) -> Line:
    settings = {"budget_s": 1.0, "max_held_bytes": 1000} | changes
    return Line(2, budget_s=settings["budget_s"], max_held_bytes=int(settings["max_held_bytes"]))


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("runtime.admission.time", SimpleNamespace(perf_counter=clock))
    return clock


def work(line: Line, clock: Clock, seconds: float, times: int) -> None:
    for _ in range(times):
        with line.place(), line.working(1):
            clock.now += seconds


def test_an_empty_line_expects_no_wait():
    assert line().expected_wait_s == 0
    assert line().waiting == 0


def test_free_workers_are_no_wait():
    two = line()
    with two.place(), two.working(1):
        assert two.expected_wait_s == 0
        with two.place(), two.working(1):
            assert two.expected_wait_s > 0


def test_the_wait_follows_the_measured_service_time(clock: Clock):
    quick, slow = line(), line()
    work(quick, clock, 0.0, 80)
    work(slow, clock, 0.05, 80)
    with quick.place(20), slow.place(20):
        assert quick.expected_wait_s < 0.1
        assert slow.expected_wait_s > 3 * quick.expected_wait_s


def test_photos_that_were_served_together_count_as_many(clock: Clock):
    batches = line()
    with batches.place(80), batches.working(80):
        clock.now += 0.08
    with batches.place(20):
        assert batches.expected_wait_s < 0.1


def test_beyond_the_budget_the_newcomer_is_told_when_to_come_again(clock: Clock):
    crowded = line(budget_s=0.1)
    work(crowded, clock, 0.02, 1)
    with crowded.place(200):
        with pytest.raises(Overloaded, match=r"try again in \d+ s") as refused, crowded.place():
            pass
        assert refused.value.reason == "queue"
        assert 1 <= refused.value.retry_after_s <= 3
        with pytest.raises(Overloaded), crowded.holding(1):
            pass
    with crowded.place():
        pass  # at once normal again


def test_more_bytes_than_memory_allows_are_refused_but_one_request_is_always_let_in():
    small = line(max_held_bytes=100)
    with small.holding(5000):
        with pytest.raises(Overloaded) as refused, small.holding(1):
            pass
        assert refused.value.reason == "memory"
    with small.holding(60), small.holding(40):
        pass


def test_who_is_alone_and_who_waits():
    two = line()
    with two.place(5):
        assert two.alone
        assert two.waiting == 5
        with two.working(2):
            assert two.waiting == 3
        with two.place():
            assert not two.alone


def test_a_failed_job_leaves_the_line():
    two = line()
    with pytest.raises(ValueError, match="broken"), two.place(), two.working(1):
        raise ValueError("broken")
    assert two.waiting == 0
    assert two.expected_wait_s == 0
