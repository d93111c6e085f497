"""Isolation: honest clients beside each attack, in an open loop at half of what the appliance can do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec
from rich.table import Table

from benchmarks.contenders.confined import Confined, Starter
from benchmarks.load_generator.generator import Send, generator
from benchmarks.load_generator.plans import Burst, Closed, Open, Order, describe_statuses
from benchmarks.load_generator.raw_requests import raw
from benchmarks.measurements.robustness.attack_kinds import ATTACKS, AttackKind
from benchmarks.measurements.robustness.attackers import attacking
from benchmarks.measurements.robustness.exchange import HONEST
from benchmarks.statistics.goals import Goal, counted
from benchmarks.statistics.samples import Estimate, p99_of, ratio_of_p99, share_of
from runtime.cli.progress import progress

CLIENTS = 4
LOAD = 0.5  # of the measured capacity
ANSWERED = 0.95
WARM_UP_S, CAPACITY_S = 2.0, 5.0
ANSWER_S = 15.0  # an honest client waits no longer
_OK = 200


class Beside(msgspec.Struct, frozen=True):
    """Honest clients without and with one attack; `attackers` says what these did, `died` whether the appliance ended.

    `ratio` is of the two p99 of those who were answered with 200, and may become `limit`.
    """

    attack: str
    capacity_per_s: float
    seconds: float
    answered: Estimate
    statuses: dict[str, int]
    p99_without_ms: Estimate
    p99_with_ms: Estimate
    ratio: Estimate
    limit: float
    attackers: str
    died: bool


def measure_isolation(
    start: Starter, photos: Sequence[bytes], giants: Mapping[str, bytes], *, attacks: Sequence[str], seconds: float
) -> list[Beside]:
    """One attack after the other, each on an appliance of its own; honest clients send `photos` for `seconds` twice."""
    results = []
    with generator() as send, progress("attacks", len(attacks)) as advance:
        for name in attacks:
            kind = ATTACKS[name]
            with start(module=kind.module, environment=kind.environment) as confined:
                results.append(_beside(name, kind, confined, send, photos, giants, seconds))
            advance(note=name)
    return results


def _beside(
    name: str,
    kind: AttackKind,
    confined: Confined,
    send: Send,
    photos: Sequence[bytes],
    giants: Mapping[str, bytes],
    seconds: float,
) -> Beside:
    port = confined.appliance.port
    requests = [raw("/predict", *kind.headers)(photo) for photo in photos]

    def honest(plan: Closed | Open) -> Burst:
        return send(Order(port, requests, plan, timeout_s=ANSWER_S, source=HONEST))

    honest(Closed(CLIENTS, min(WARM_UP_S, seconds)))
    capacity = honest(Closed(CLIENTS, min(CAPACITY_S, seconds))).rate_per_s
    plan = Open(max(1.0, LOAD * capacity), seconds, connections=CLIENTS)
    without = honest(plan)
    with attacking(port, kind.attackers(giants)) as traffic:
        beside = honest(plan)
        did = traffic.describe()
    return _result(name, kind.limit, capacity, without, beside, did, died=confined.kills > 0)


def _result(name: str, limit: float, capacity: float, without: Burst, beside: Burst, did: str, *, died: bool) -> Beside:
    accepted_without, accepted_beside = _accepted_ms(without), _accepted_ms(beside)
    return Beside(
        attack=name,
        capacity_per_s=round(capacity, 1),
        seconds=beside.window_s,
        answered=share_of(_by_second(beside, [status == _OK for status in beside.status])),
        statuses=beside.statuses(),
        p99_without_ms=p99_of(accepted_without),
        p99_with_ms=p99_of(accepted_beside),
        ratio=ratio_of_p99(accepted_beside, accepted_without),
        limit=limit,
        attackers=did,
        died=died,
    )


def _accepted_ms(burst: Burst) -> list[list[float]]:
    """Latencies of what was answered with 200, by the second of arrival."""
    seconds = _by_second(burst, [ms if status == _OK else math.nan
                                 for ms, status in zip(burst.latency_ms, burst.status, strict=True)])  # fmt: skip
    return [[ms for ms in second if not math.isnan(ms)] for second in seconds]


def _by_second(burst: Burst, values: Sequence[float]) -> list[list[float]]:
    seconds: dict[int, list[float]] = {}
    for arrived_s, value in zip(burst.arrived_s, values, strict=True):
        seconds.setdefault(int(arrived_s), []).append(value)
    return [seconds[second] for second in sorted(seconds)]


def isolation_goals(results: Sequence[Beside]) -> list[Goal]:
    """The figures to reach, two for each attack; and nothing dies."""
    goals = [counted(f"{len(results)} attacks: deaths", sum(each.died for each in results), "at most", 0)]
    for each in results:
        seconds = int(each.seconds)
        goals += [
            Goal(f"{each.attack}: share of honest requests answered 200", each.answered, "at least", ANSWERED, seconds),
            Goal(f"{each.attack}: p99 of honest requests over without", each.ratio, "at most", each.limit, seconds),
        ]
    return goals


def isolation_table(results: Sequence[Beside]) -> Table:
    """One line an attack."""
    table = Table(title=f"{CLIENTS} honest clients, open loop at {LOAD:.0%} of the capacity, beside each attack; ms")
    columns = ("attack", "capacity/s", "p99 without", "p99 with", "answered 200", "honest answers", "attackers", "died")
    for column in columns:
        table.add_column(column, justify="left" if column in {"attack", "honest answers", "attackers"} else "right")
    for each in results:
        table.add_row(
            each.attack,
            f"{each.capacity_per_s:.0f}",
            f"{each.p99_without_ms.value:.1f}",
            f"{each.p99_with_ms.value:.1f}",
            f"{each.answered.value:.1%}",
            describe_statuses(each.statuses),
            each.attackers,
            "yes" if each.died else "",
        )
    return table
