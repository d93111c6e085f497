import os
import time

import pytest

from benchmarks.host.interference import Contention, host_busy_s, watch_contention
from benchmarks.statistics.goals import quoted_ratio
from benchmarks.statistics.samples import Estimate

CLEAR = Estimate(9.0, 8.9, 9.1)


@pytest.mark.parametrize(
    ("busy", "host", "wanted", "contended"),
    [
        (0.0, 2, 2, False),
        (0.1, 2, 2, False),
        (1.0, 2, 2, True),
        (1.0, 2, 1, False),
        (6.0, 8, 2, False),
        (7.0, 8, 2, True),
    ],
)
def test_a_host_is_contended_when_fewer_cores_are_left_than_wanted(busy, host, wanted, contended):
    assert Contention(busy, host, wanted).contended is contended


def test_the_others_share_is_all_work_less_our_own():
    busy_s = iter([1.5, 11.5])  # ten more seconds of work in no time
    with watch_contention(2, lambda: next(busy_s)) as watch:
        began = time.monotonic()
        time.sleep(0.2)
        elapsed = time.monotonic() - began
    assert watch.seen.busy_cores is not None
    assert 0 < watch.seen.busy_cores <= 10 / elapsed
    assert watch.seen.contended


def test_the_hosts_busy_time_grows_with_work_and_not_with_waiting():
    before = host_busy_s()
    until = time.process_time() + 0.3
    while time.process_time() < until:
        pass
    assert before is not None
    assert 0.25 <= host_busy_s() - before <= 60 * (os.cpu_count() or 1)


def test_a_system_that_does_not_tell_is_not_called_contended():
    with watch_contention(2, lambda: None) as watch:
        pass
    assert watch.seen.busy_cores is None
    assert not watch.seen.contended


def test_a_clear_ratio_from_a_contended_host_is_marked_unreliable():
    assert quoted_ratio(CLEAR, Contention(0.0, 2, 2), 60) == "9.0 times (95 % interval 8.9 to 9.1)"
    contended = quoted_ratio(CLEAR, Contention(1.2, 2, 2), 60)
    assert "UNRELIABLE, other programs used 1.2 of 2 cores meanwhile; stop them" in contended


def test_a_wide_ratio_says_that_it_is_noise():
    assert "too noisy to quote" in quoted_ratio(Estimate(9.0, 5.0, 12.0), Contention(0.0, 2, 2), 60)
    assert "no difference shown" in quoted_ratio(Estimate(1.0, 0.98, 1.02), Contention(0.0, 2, 2), 60)
    assert "too few rounds to quote" in quoted_ratio(CLEAR, Contention(0.0, 2, 2), 5)
