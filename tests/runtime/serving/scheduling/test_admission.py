from __future__ import annotations

from types import SimpleNamespace

import pytest

from runtime.serving.scheduling.admission import AdmissionController, Overloaded
from tests.support.clock import Clock


def line(**changes: float) -> AdmissionController:
    return AdmissionController(2, budget_s=changes.get("budget_s", 1.0))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("runtime.serving.scheduling.admission.time", SimpleNamespace(perf_counter=clock))
    return clock


def work(line: AdmissionController, clock: Clock, seconds: float, times: int) -> None:
    for _ in range(times):
        with line.enqueue(), line.in_service(1):
            clock.now += seconds


def test_an_empty_line_expects_no_wait():
    assert line().expected_wait_s == 0
    assert line().waiting == 0


def test_free_workers_are_no_wait():
    two = line()
    with two.enqueue(), two.in_service(1):
        assert two.expected_wait_s == 0
        with two.enqueue(), two.in_service(1):
            assert two.expected_wait_s > 0


def test_the_wait_follows_the_measured_service_time(clock: Clock):
    quick, slow = line(), line()
    work(quick, clock, 0.0, 80)
    work(slow, clock, 0.05, 80)
    with quick.enqueue(20), slow.enqueue(20):
        assert quick.expected_wait_s < 0.1
        assert slow.expected_wait_s > 3 * quick.expected_wait_s


def test_photos_that_were_served_together_count_as_many(clock: Clock):
    batches = line()
    with batches.enqueue(80), batches.in_service(80):
        clock.now += 0.08
    with batches.enqueue(20):
        assert batches.expected_wait_s < 0.1


def test_beyond_the_budget_the_newcomer_is_told_when_to_come_again(clock: Clock):
    crowded = line(budget_s=0.1)
    work(crowded, clock, 0.02, 1)
    with crowded.enqueue(200):
        with pytest.raises(Overloaded, match=r"try again in \d+ s") as refused, crowded.enqueue():
            pass
        assert refused.value.reason == "queue"
        assert 1 <= refused.value.retry_after_s <= 3
        with pytest.raises(Overloaded):
            crowded.check_wait()
    with crowded.enqueue():
        pass  # at once normal again


def test_who_is_alone_and_who_waits():
    two = line()
    with two.enqueue(5):
        assert two.is_single
        assert two.waiting == 5
        with two.in_service(2):
            assert two.waiting == 3
        with two.enqueue():
            assert not two.is_single


def test_a_failed_job_leaves_the_line():
    two = line()
    with pytest.raises(ValueError, match="broken"), two.enqueue(), two.in_service(1):
        raise ValueError("broken")
    assert two.waiting == 0
    assert two.expected_wait_s == 0
