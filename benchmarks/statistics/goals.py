"""Targets and verdicts: reached, missed, or undecided if the host was busy or the interval too wide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
from rich.table import Table

from benchmarks.host.interference import Contention, describe_contention
from benchmarks.statistics.samples import FEWEST, Estimate

REACHED, MISSED, UNDECIDED = "reached", "missed", "undecided"


class Goal(msgspec.Struct, frozen=True):
    """`estimate` is to be `rule` `limit`; `samples` is how many it is made of, None for a plain count."""

    what: str
    estimate: Estimate
    rule: Literal["at least", "at most"]
    limit: float
    samples: int | None = None


def counted(what: str, value: float, rule: Literal["at least", "at most"], limit: float) -> Goal:
    """A goal for what is counted or read once, and so has no interval."""
    return Goal(what, Estimate(value, value, value), rule, limit)


def verdict(goal: Goal, neighbours: Contention, longer: str = "--rounds") -> tuple[str, str]:
    """REACHED, MISSED or UNDECIDED, and why it is undecided; `longer` is the option that makes more samples.

    A count is what it is. A measured figure is decided only on a quiet host, from FEWEST samples, when the limit lies
    outside its interval.
    """
    estimate = goal.estimate
    if goal.samples is not None:
        if neighbours.contended:
            return UNDECIDED, "other programs used the cores"
        if goal.samples < FEWEST:
            return UNDECIDED, f"too few {longer.removeprefix('--')}, {longer} {FEWEST} or more"
        if estimate.low < goal.limit < estimate.high:
            return UNDECIDED, f"the limit is within the interval, more {longer}"
    within = estimate.value >= goal.limit if goal.rule == "at least" else estimate.value <= goal.limit
    return (REACHED if within else MISSED), ""


def goals_table(title: str, goals: Sequence[Goal], neighbours: Contention, longer: str = "--rounds") -> Table:
    """One line a goal: the figure, its interval, the limit, the verdict; `longer` as for `verdict`."""
    table = Table(title=title)
    for column in ("figure", "measured", "95 % interval", "to reach", "verdict"):
        table.add_column(column, justify="left" if column in {"figure", "verdict"} else "right")
    for goal in goals:
        reached, why = verdict(goal, neighbours, longer)
        interval = "" if goal.samples is None else f"{goal.estimate.low:.2f} to {goal.estimate.high:.2f}"
        table.add_row(
            goal.what,
            f"{goal.estimate.value:.2f}",
            interval,
            f"{'≥' if goal.rule == 'at least' else '≤'} {goal.limit:.3g}",
            f"{reached} ({why})" if why else reached,
        )
    return table


def quoted_ratio(estimate: Estimate, neighbours: Contention, rounds: int) -> str:
    """A ratio with its interval, and the reason where it must not be quoted."""
    text = f"{estimate.value:.1f} times (95 % interval {estimate.low:.1f} to {estimate.high:.1f})"
    if neighbours.contended:
        return f"{text}: UNRELIABLE, {describe_contention(neighbours)}"
    if rounds < FEWEST:
        return f"{text}: too few rounds to quote, measure with --rounds {FEWEST} or more"
    if not estimate.differs:
        return f"{text}: no difference shown, measure again with more --rounds"
    return text if estimate.clear else f"{text}: too noisy to quote, measure again with more --rounds"
