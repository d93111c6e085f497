"""Children get what the appliance leaves of a CPU quota, and never nothing."""

from __future__ import annotations

import pytest

from runtime.serving.offload.pacer import BURST_S, LEAST, RESERVE, TICK_S, Pacer, Throttle


def share_of_children(quota: float, own_cores: float, seconds: float = 20.0) -> float:
    """The cores that children get which take all they may, beside an appliance that takes `own_cores`."""
    pacer, used_s, last_s = Pacer(quota), 0.0, 0.0
    for _ in range(round(seconds / TICK_S)):
        last_s = TICK_S if pacer.tick(TICK_S, own_cores * TICK_S, last_s) else 0.0
        used_s += last_s
    return used_s / seconds


def test_beside_an_idle_appliance_children_have_the_whole_quota():
    assert share_of_children(1.0, 0.0) == pytest.approx(1.0, abs=0.02)
    assert share_of_children(0.5, 0.0) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("own_cores", [0.3, 0.5, 0.6])
def test_beside_a_busy_one_they_have_what_it_leaves_less_a_reserve(own_cores: float):
    assert share_of_children(1.0, own_cores) == pytest.approx(1.0 - own_cores - RESERVE, abs=0.02)


@pytest.mark.parametrize("own_cores", [0.9, 1.5])
def test_beside_an_appliance_that_takes_everything_they_go_on_slowly(own_cores: float):
    assert share_of_children(1.0, own_cores) == pytest.approx(LEAST, abs=0.02)


def test_what_they_did_not_use_is_not_saved_up():
    pacer = Pacer(1.0)
    for _ in range(1000):
        assert pacer.tick(TICK_S, 0.0, 0.0)
    assert not pacer.tick(TICK_S, 0.0, BURST_S + 2 * TICK_S)


class Clockwork:
    """A child that has used so much."""

    def __init__(self) -> None:
        self.used_s = 0.0

    def cpu_s(self) -> float:
        return self.used_s


def test_a_child_that_has_ended_takes_its_use_along():
    throttle, first, second = Throttle(1.0), Clockwork(), Clockwork()
    first.used_s = 1000.0
    assert not throttle.may_run([first])
    for _ in range(10):
        throttle.may_run([])
    throttle._pacer._allowance_s = BURST_S
    assert throttle.may_run([second])
