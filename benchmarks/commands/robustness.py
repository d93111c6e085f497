"""Command `python -m benchmarks robustness`: hostile clients, and honest ones beside them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmarks.commands.options import bundle_option, default_folder, make, out_option, show
from runtime.errors import Refusal

if TYPE_CHECKING:
    from benchmarks.contenders.confined import Limits
    from benchmarks.measurements.robustness.figures import RobustnessResult

# Names of what can be chosen; `benchmarks.measurements.robustness` has what they stand for.
FIGURES = ("fuzz", "isolation", "connections", "giants")
_UNITS = {"k": 1 / 1024, "m": 1, "g": 1024}


def _megabytes(_: click.Context, __: click.Parameter, text: str) -> int | None:
    if text == "none":
        return None
    found = re.fullmatch(r"(\d+)([kmg])", text.lower())
    if not found or (megabytes := int(int(found[1]) * _UNITS[found[2]])) < 1:
        raise click.BadParameter(f"{text!r} is no amount of memory such as 256m or 1g, nor `none`")
    return megabytes


@click.command()
@bundle_option
@click.option("--figure", "figures", type=click.Choice(FIGURES), multiple=True, help="What to measure; all by default.")
@click.option("--memory", callback=_megabytes, default="256m", help="Memory of the appliance, as Docker has it; none.")
@click.option("--cpus", type=click.FloatRange(0.1, 1024), default=1.0, help="Its cores.")
@click.option("--bodies", type=click.IntRange(min=1), default=20_000, help="fuzz: requests to send.")
@click.option("--seed", type=int, default=0, help="fuzz: the same seed sends the same requests.")
@click.option("--settle", type=click.FloatRange(0, 600), default=10.0, help="fuzz: seconds before memory is compared.")
@click.option("--attack", "attacks", multiple=True, help="isolation: an attack by name; all by default.")
@click.option(
    "--seconds", type=click.FloatRange(1, 3600), default=60.0, help="isolation: without and with each attack."
)
@click.option("--tried", type=click.IntRange(min=1), default=5000, help="connections: how many.")
@click.option("--files", type=click.IntRange(min=64), default=1024, help="connections: the hard limit of open files.")
@click.option("--held", type=click.FloatRange(0, 600), default=15.0, help="connections: seconds after the last.")
@click.option("--giant", "giants", multiple=True, help="giants: a kind of photo by name; all by default.")
@click.option("--at-once", type=click.IntRange(1, 256), default=16, help="giants: photos at once.")
@out_option
def robustness(
    *,
    bundle: Path | None,
    figures: tuple[str, ...],
    memory: int | None,
    cpus: float,
    bodies: int,
    seed: int,
    settle: float,
    attacks: tuple[str, ...],
    seconds: float,
    tried: int,
    files: int,
    held: float,
    giants: tuple[str, ...],
    at_once: int,
    out: Path,
) -> None:
    """Attack appliances that are started for it in little memory, and see what becomes of them and of honest clients.

    fuzz: damaged photos, bombs, broken forms, unusual framing, no HTTP at all; no 5xx but 503, no death, no growth.
    isolation: four honest clients beside each attack. connections: silent ones and half heads, at few open files.
    giants: the largest photo of each format, many at once. Exits with 1 on a figure that is missed. All of it takes
    about three quarters of an hour; needs root, for the memory cgroup.
    """
    from benchmarks.measurements.robustness.attack_kinds import ATTACKS
    from benchmarks.measurements.robustness.figures import Plan, measure_robustness
    from benchmarks.measurements.robustness.giant_photos import GIANTS
    from runtime.bundle.manifest import to_json
    from runtime.host.file_limit import raise_file_limit

    plan = Plan(
        figures=figures or FIGURES,
        bodies=bodies,
        seed=seed,
        settle_s=settle,
        attacks=_chosen("attack", attacks, list(ATTACKS)),
        seconds=seconds,
        connections=tried,
        files=files,
        held_s=held,
        giants=_chosen("giant", giants, list(GIANTS)),
        at_once=at_once,
    )
    make(out)
    raise_file_limit()
    result = measure_robustness(plan, bundle or default_folder(), _limits(memory, cpus))
    (out / "robustness.json").write_bytes(to_json(result))
    _print(result)
    click.echo(f"made {out / 'robustness.json'}")
    if result.missed:
        raise Refusal("missed: " + "; ".join(result.missed))


def _chosen(option: str, names: tuple[str, ...], known: list[str]) -> list[str]:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise Refusal(f"--{option} {unknown[0]!r}: there is none of that name, but {', '.join(known)}")
    return list(names) or known


def _limits(memory: int | None, cpus: float) -> Limits:
    """The limits that can be set here: without them the figures are those of another appliance."""
    from benchmarks.contenders.confined import Limits
    from benchmarks.host.memory_cgroup import CgroupError, memory_cgroup

    if memory is None:
        return Limits()
    try:
        with memory_cgroup(memory * 2**20, cpus):
            return Limits(memory, cpus)
    except CgroupError as error:
        raise Refusal(f"{error}; `--memory none` measures without limits") from error


def _print(result: RobustnessResult) -> None:
    from benchmarks.host.interference import describe_contention
    from benchmarks.measurements.robustness.connections import describe_connections
    from benchmarks.measurements.robustness.fuzz import fuzz_table, memory_curve
    from benchmarks.measurements.robustness.giants import giants_table
    from benchmarks.measurements.robustness.isolation import isolation_table
    from benchmarks.statistics.goals import goals_table

    if fuzz := result.fuzz:
        show(fuzz_table(fuzz))
        click.echo(memory_curve(fuzz))
        click.echo(f"peak {fuzz.peak_mb:.0f} MB; slowest answer {fuzz.slowest_s:.1f} s, to {fuzz.slowest}")
        for failure in fuzz.failures[:10]:
            click.echo(failure)
    if result.isolation:
        show(isolation_table(result.isolation))
    if result.connections:
        click.echo(describe_connections(result.connections))
    if result.giants:
        show(giants_table(result.giants))
    memory, cpus = result.limits.memory_mb, result.limits.cpus
    where = "without limits" if memory is None else f"{memory} MiB and {cpus:g} CPU"
    show(goals_table(f"Robustness, {where}", result.goals, result.neighbours, "--seconds"))
    click.echo(describe_contention(result.neighbours))
