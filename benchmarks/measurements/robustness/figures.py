"""The robustness figures in one run: which are measured, how long, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.contenders.confined import Limits, Starter
from benchmarks.contenders.photos import load_photos
from benchmarks.host.interference import Contention, watch_contention
from benchmarks.host.machine import Machine, this_machine
from benchmarks.measurements.robustness.attack_kinds import ATTACKS
from benchmarks.measurements.robustness.connections import (
    FILES,
    HELD_S,
    ConnectionsResult,
    connections_goals,
    measure_connections,
)
from benchmarks.measurements.robustness.fuzz import SETTLE_S, FuzzResult, fuzz_goals, measure_fuzz
from benchmarks.measurements.robustness.giant_photos import GIANTS
from benchmarks.measurements.robustness.giants import AT_ONCE, GiantsResult, find_giants, giants_goals, measure_giants
from benchmarks.measurements.robustness.isolation import Beside, isolation_goals, measure_isolation
from benchmarks.statistics.goals import MISSED, Goal, verdict
from runtime.host.cpu import available_cpus

FUZZ, ISOLATION, CONNECTIONS, GIANT = FIGURES = ("fuzz", "isolation", "connections", "giants")


@dataclass(frozen=True)
class Plan:
    """What to measure: figures, attacks and kinds of giants by name; durations in seconds."""

    figures: Sequence[str] = FIGURES
    bodies: int = 20_000
    seed: int = 0
    settle_s: float = SETTLE_S
    attacks: Sequence[str] = tuple(ATTACKS)
    seconds: float = 60.0
    connections: int = 5000
    files: int = FILES
    held_s: float = HELD_S
    giants: Sequence[str] = tuple(GIANTS)
    at_once: int = AT_ONCE


class RobustnessResult(msgspec.Struct, frozen=True):
    """All figures, None for one that was not asked for; `limits` are those of each appliance."""

    machine: Machine
    neighbours: Contention
    limits: Limits
    fuzz: FuzzResult | None
    isolation: list[Beside] | None
    connections: ConnectionsResult | None
    giants: GiantsResult | None
    goals: list[Goal]

    @property
    def missed(self) -> list[str]:
        """The goals that were missed beyond doubt."""
        return [goal.what for goal in self.goals if verdict(goal, self.neighbours)[0] == MISSED]


def measure_robustness(plan: Plan, bundle: Path, limits: Limits) -> RobustnessResult:
    """Measure one figure after the other, each on appliances of its own with `bundle` in `limits`.

    Raises CgroupError where the limits cannot be set.
    """
    start = Starter(limits, ("--bundle", str(bundle)))
    with watch_contention(available_cpus()) as watch:
        fuzz = connections = giants = isolation = None
        if FUZZ in plan.figures:
            fuzz = measure_fuzz(plan.bodies, start=start, seed=plan.seed, settle_s=plan.settle_s)
        if CONNECTIONS in plan.figures:
            connections = measure_connections(start, plan.connections, files=plan.files, held_s=plan.held_s)
        photos, deaths = find_giants(start, plan.giants) if _needs_giants(plan) else ({}, 0)
        if GIANT in plan.figures:
            giants = measure_giants(start, photos, deaths, plan.at_once)
        if ISOLATION in plan.figures:
            small, _ = load_photos(None)
            isolation = measure_isolation(start, small, photos, attacks=plan.attacks, seconds=plan.seconds)
    goals = [
        *(fuzz_goals(fuzz) if fuzz else []),
        *(isolation_goals(isolation) if isolation else []),
        *(connections_goals(connections) if connections else []),
        *(giants_goals(giants) if giants else []),
    ]
    return RobustnessResult(this_machine(), watch.seen, limits, fuzz, isolation, connections, giants, goals)


def _needs_giants(plan: Plan) -> bool:
    attacks = plan.attacks if ISOLATION in plan.figures else ()
    return GIANT in plan.figures or any(ATTACKS[name].needs_giants for name in attacks)
