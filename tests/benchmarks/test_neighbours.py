import os
import time
from pathlib import Path

import pytest

from benchmarks.neighbours import Neighbours, watched
from benchmarks.samples import Estimate
from benchmarks.tables import times

CLEAR = Estimate(9.0, 8.9, 9.1)


@pytest.mark.parametrize(
    ("busy", "host", "wanted", "crowded"),
    [
        (0.0, 2, 2, False),
        (0.1, 2, 2, False),
        (1.0, 2, 2, True),
        (1.0, 2, 1, False),
        (6.0, 8, 2, False),
        (7.0, 8, 2, True),
    ],
)
def test_a_host_is_crowded_when_fewer_cores_are_left_than_wanted(busy, host, wanted, crowded):
    assert Neighbours(busy, host, wanted).crowded is crowded


def test_the_others_share_is_all_work_less_our_own(tmp_path: Path):
    stat = tmp_path / "stat"
    tick = os.sysconf("SC_CLK_TCK")
    stat.write_text("cpu 100 0 50 9999 7 0 0 0 0 0\n")
    with watched(2, stat) as watch:
        began = time.monotonic()
        time.sleep(0.2)
        # Ten more seconds of work in no time, and idle time that does not count.
        stat.write_text(f"cpu {100 + 10 * tick} 0 50 99999 7 0 0 0 0 0\n")
        elapsed = time.monotonic() - began
    assert watch.seen.busy_cores is not None
    assert 0 < watch.seen.busy_cores <= 10 / elapsed
    assert watch.seen.crowded


def test_a_system_that_does_not_tell_is_not_called_crowded(tmp_path: Path):
    with watched(2, tmp_path / "nothing") as watch:
        pass
    assert watch.seen.busy_cores is None
    assert not watch.seen.crowded


def test_a_clear_ratio_from_a_crowded_host_is_not_to_be_quoted():
    assert times(CLEAR, Neighbours(0.0, 2, 2), 60) == "9.0 times (95 % interval 8.9 to 9.1)"
    crowded = times(CLEAR, Neighbours(1.2, 2, 2), 60)
    assert "NOT TO BE QUOTED, other programs used 1.2 of 2 cores meanwhile; stop them" in crowded


def test_a_wide_ratio_says_that_it_is_noise():
    assert "too noisy to quote" in times(Estimate(9.0, 5.0, 12.0), Neighbours(0.0, 2, 2), 60)
    assert "no difference shown" in times(Estimate(1.0, 0.98, 1.02), Neighbours(0.0, 2, 2), 60)
    assert "too few rounds to quote" in times(CLEAR, Neighbours(0.0, 2, 2), 5)
