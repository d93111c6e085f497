"""Targets of the peer comparison: ours against the replaced stack, and against the best peer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from benchmarks.peers.catalogue import OURS, REPLACED
from benchmarks.peers.measure import PeersResult, Row
from benchmarks.statistics.goals import Goal
from benchmarks.statistics.samples import median_of, ratio_of_medians

BUSY, ALONE = 16, 1  # clients
Figure = Callable[[Row], list[float]]


def peer_goals(result: PeersResult) -> list[Goal]:
    """The figures to reach that this run can tell: each needs both sides of its ratio, and its number of clients."""
    done = [row for row in result.rows if row.turns]
    ours = [row for row in done if row.name == OURS]
    even = [row for row in ours if row.image_size == result.image_size]
    replaced = [row for row in done if row.name == REPLACED]
    peers = [row for row in done if row.name not in {OURS, REPLACED}]
    goals: list[Goal] = []
    if ours and replaced:
        goals += _against_replaced(ours[-1], replaced, result.clients)
    if even and peers:
        goals += _against_peers(even[0], peers, result.clients)
    return goals


def _against_replaced(ours: Row, replaced: Sequence[Row], clients: Sequence[int]) -> list[Goal]:
    size = f"{ours.image_size} px over the replaced stack"
    goals = []
    if BUSY in clients:
        goals.append(_goal(f"photos/s at {BUSY} clients, {size}", ours, replaced, _rates, "at least", 10, most=True))
    if ALONE in clients:
        goals.append(_goal(f"p50 at 1 client, {size}", ours, replaced, _p50s, "at most", 1 / 8))
    goals.append(_goal(f"memory, {size}", ours, replaced, _memory, "at most", 1 / 3))
    goals.append(_goal(f"start to ready, {size}", ours, replaced, _starts, "at most", 1 / 3))
    return goals


def _against_peers(ours: Row, peers: Sequence[Row], clients: Sequence[int]) -> list[Goal]:
    size = f"{ours.image_size} px over the best peer"
    goals = []
    if BUSY in clients:
        goals.append(_goal(f"photos/s at {BUSY} clients, {size}", ours, peers, _rates, "at least", 1.25, most=True))
    if ALONE in clients:
        goals.append(_goal(f"p50 at 1 client, {size}", ours, peers, _p50s, "at most", 0.9))
    if BUSY in clients:
        goals.append(_goal(f"CPU per photo at {BUSY} clients, {size}", ours, peers, _cpu, "at most", 0.8))
    goals.append(_goal(f"memory, {size}", ours, peers, _memory, "at most", 1))
    return goals


def _goal(
    what: str,
    ours: Row,
    others: Sequence[Row],
    figure: Figure,
    rule: Literal["at least", "at most"],
    limit: float,
    *,
    most: bool = False,
) -> Goal:
    """Ours over the other that is best in this one figure, in whichever setting."""
    best = (max if most else min)(others, key=lambda row: median_of(figure(row)).value)
    named = f"{what} ({best.name}, {best.setting})"
    return Goal(named, ratio_of_medians(figure(ours), figure(best)), rule, limit, len(ours.turns))


def _rates(row: Row) -> list[float]:
    return row.rates(BUSY)


def _p50s(row: Row) -> list[float]:
    return row.p50s(ALONE)


def _cpu(row: Row) -> list[float]:
    return row.cpu(BUSY)


def _memory(row: Row) -> list[float]:
    return row.memory


def _starts(row: Row) -> list[float]:
    return row.starts
