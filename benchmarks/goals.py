"""Figures that are to be reached, and whether they were: a verdict only where the measurement bears one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
from rich.table import Table

from benchmarks.neighbours import Neighbours
from benchmarks.samples import FEWEST, Estimate

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


def verdict(goal: Goal, neighbours: Neighbours) -> tuple[str, str]:
    """REACHED, MISSED or UNDECIDED, and why it is undecided.

    A count is what it is. A measured figure is decided only on a quiet host, from FEWEST samples, when the limit lies
    outside its interval.
    """
    estimate = goal.estimate
    if goal.samples is not None:
        if neighbours.crowded:
            return UNDECIDED, "other programs used the cores"
        if goal.samples < FEWEST:
            return UNDECIDED, f"too few rounds, --rounds {FEWEST} or more"
        if estimate.low < goal.limit < estimate.high:
            return UNDECIDED, "the limit is within the interval, more --rounds"
    within = estimate.value >= goal.limit if goal.rule == "at least" else estimate.value <= goal.limit
    return (REACHED if within else MISSED), ""


def goals_table(title: str, goals: Sequence[Goal], neighbours: Neighbours) -> Table:
    """One line a goal: the figure, its interval, the limit, the verdict."""
    table = Table(title=title)
    for column in ("figure", "measured", "95 % interval", "to reach", "verdict"):
        table.add_column(column, justify="left" if column in {"figure", "verdict"} else "right")
    for goal in goals:
        reached, why = verdict(goal, neighbours)
        interval = "" if goal.samples is None else f"{goal.estimate.low:.2f} to {goal.estimate.high:.2f}"
        table.add_row(
            goal.what,
            f"{goal.estimate.value:.2f}",
            interval,
            f"{'≥' if goal.rule == 'at least' else '≤'} {goal.limit:.3g}",
            f"{reached} ({why})" if why else reached,
        )
    return table
