from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from benchmarks.host.interference import Contention
from benchmarks.statistics.goals import MISSED, REACHED, UNDECIDED, Goal, counted, goals_table, verdict
from benchmarks.statistics.samples import FEWEST, Estimate

QUIET, BUSY = Contention(0.0, 2, 2), Contention(1.5, 2, 2)


def goal(low: float, high: float, rule: str = "at most", limit: float = 1.0, samples: int | None = FEWEST) -> Goal:
    return Goal("figure", Estimate((low + high) / 2, low, high), rule, limit, samples)


@pytest.mark.parametrize(
    ("low", "high", "rule", "expected"),
    [
        (0.7, 0.9, "at most", REACHED),
        (1.1, 1.3, "at most", MISSED),
        (0.7, 0.9, "at least", MISSED),
        (1.1, 1.3, "at least", REACHED),
        (0.9, 1.2, "at most", UNDECIDED),
        (0.9, 1.2, "at least", UNDECIDED),
    ],
)
def test_a_figure_is_decided_when_its_interval_leaves_out_the_limit(low, high, rule, expected):
    assert verdict(goal(low, high, rule), QUIET)[0] == expected


def test_nothing_measured_is_decided_on_a_busy_host_or_from_few_rounds():
    assert verdict(goal(0.1, 0.2), BUSY) == (UNDECIDED, "other programs used the cores")
    assert verdict(goal(0.1, 0.2, samples=FEWEST - 1), QUIET)[0] == UNDECIDED


def test_the_reason_names_the_option_that_measures_longer():
    assert verdict(goal(0.9, 1.2), QUIET, "--seconds")[1] == "the limit is within the interval, more --seconds"
    assert verdict(goal(0.1, 0.2, samples=1), QUIET, "--seconds")[1] == "too few seconds, --seconds 6 or more"


def test_a_count_is_what_it_is():
    assert verdict(counted("failures", 0, "at most", 0), BUSY) == (REACHED, "")
    assert verdict(counted("failures", 1, "at most", 0), QUIET) == (MISSED, "")


def test_the_table_gives_the_reason():
    text = StringIO()
    Console(file=text, width=140).print(goals_table("Figures", [goal(0.9, 1.2), counted("n", 2, "at least", 1)], QUIET))
    assert "undecided (the limit is within the interval, more --rounds)" in text.getvalue()
    assert "≥ 1" in text.getvalue()
