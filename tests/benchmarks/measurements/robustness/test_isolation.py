from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.load_generator.plans import Burst
from benchmarks.measurements.robustness.attack_kinds import ATTACKS
from benchmarks.measurements.robustness.isolation import Beside, _result, isolation_goals
from tests.benchmarks.measurements.robustness.measured import measured


def test_honest_clients_are_measured_beside_each_attack(tmp_path: Path) -> None:
    """Of the attacks those that every appliance survives, one of each way to attack and of each program."""
    chosen = ["slow uploads", "half heads", "key guessing", "page loads"]
    options = [option for name in chosen for option in ("--attack", name)]
    result = measured(tmp_path, "--figure", "isolation", "--seconds", "1", *options)
    found = {each["attack"]: each for each in result["isolation"]}
    assert list(found) == chosen
    for each in found.values():
        assert not each["died"]
        assert each["capacity_per_s"] > 0
        assert each["p99_without_ms"]["value"] > 0
        assert sum(each["statuses"].values()) > 0
    assert found["slow uploads"]["attackers"] == "7 connections"
    assert "401" in found["key guessing"]["attackers"]
    assert "200" in found["key guessing"]["statuses"]
    assert "200" in found["page loads"]["attackers"]
    assert len(result["goals"]) == 1 + 2 * len(chosen)


def test_giants_alone_may_delay_others_for_longer() -> None:
    longer = {name for name, kind in ATTACKS.items() if kind.limit > 3}
    assert longer == {"giants", "one-colour WebPs"}


def burst(latency_ms: list[float], status: list[int]) -> Burst:
    count = len(status)
    arrived_s = [index / 10 for index in range(count)]
    return Burst(latency_ms, arrived_s, status, [0] * count, [False] * count, [], {}, 0.0, count / 10, count / 10)


def result(without: Burst, beside: Burst) -> Beside:
    return _result("attack", 3.0, 20.0, without, beside, "", died=False)


def test_latencies_are_of_those_that_were_answered() -> None:
    found = result(burst([10] * 100, [200] * 100), burst([20, 900] * 50, [200, 503] * 50))
    assert found.answered.value == pytest.approx(0.5)
    assert found.ratio.value == pytest.approx(2.0)
    assert (found.ratio.low, found.ratio.high) == (2.0, 2.0)


def test_where_nobody_is_answered_no_figure_is_reached() -> None:
    found = result(burst([10] * 100, [200] * 100), burst([1] * 100, [0] * 100))
    assert (found.answered.value, found.ratio.value) == (0.0, float("inf"))
    assert [goal.limit for goal in isolation_goals([found])] == [0, 0.95, 3.0]
