"""Hot-reload cost, also against another checkout: cold and warm start, memory, model swaps."""

from __future__ import annotations

import functools
import http.client
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
from rich.table import Table

from benchmarks.contenders.checkouts import OTHER, THIS, Checkout, require_own_code
from benchmarks.contenders.servers import ROOT, Recipe, Server, serving
from benchmarks.contenders.two_versions import TwoVersions, publish_two
from benchmarks.host.interference import Contention, watch_contention
from benchmarks.host.machine import Machine, this_machine
from benchmarks.host.server_process import HOST, ServerError
from benchmarks.statistics.goals import Goal
from benchmarks.statistics.samples import Estimate, interleave, median_of, ratio_of_medians
from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import Bundle
from runtime.errors import Refusal
from runtime.host.cpu import available_cpus
from runtime.registry.pointer import Pointer

WARM_UP = 1  # rounds that do not count: in the first one Python compiles a checkout's files
CACHED_SWAPS = 4  # in a turn; their median is its sample. An even number: each version comes as often
POLL_S = 0.1  # between two looks at the store, the shortest there may be
LOOK_S = 0.01  # between two looks at the version that serves
SWAP_S = 60.0  # longest wait for a swap
SETTLE_S = 2.5  # before memory is read: freed pages are given back every 2 s (`runtime.host.memory.TRIM_INTERVAL_S`)
MEGABYTE = 1_000_000
LONGER, MORE_MB = 1.05, 3.0  # a start's time over the other's, and memory beyond it, that go unnoticed
SWAP_LONGER = 1.5  # nobody waits for a swap: the model before it answers meanwhile


class Turn(msgspec.Struct, frozen=True):
    """What one checkout took in one round.

    A start is default (no store), cold (an empty cache, the version is fetched) or warm (the version served before).
    A swap is fetched where the version is not on the host yet, else cached; both hold up to POLL_S of waiting.
    """

    default_start_s: float
    warm_start_s: float
    cold_start_s: float
    fetched_swap_s: float
    cached_swap_s: float
    default_mb: float
    warm_mb: float
    cold_mb: float
    swapped_mb: float


class Figure(NamedTuple):
    """A field of Turn for people; `limit` is how many times as long (s), or how much more (MB), than the other's."""

    field: str
    what: str
    unit: Literal["s", "MB"]
    limit: float


FIGURES = (
    Figure("default_start_s", "start to ready, default bundle and no store", "s", LONGER),
    Figure("warm_start_s", "start to ready, version in the cache", "s", LONGER),
    Figure("cold_start_s", "start to ready, version to be fetched", "s", LONGER),
    Figure("fetched_swap_s", "swap, version to be fetched", "s", SWAP_LONGER),
    Figure("cached_swap_s", "swap, version in the cache", "s", SWAP_LONGER),
    Figure("default_mb", "resident, default bundle and no store", "MB", MORE_MB),
    Figure("warm_mb", "resident, version in the cache", "MB", MORE_MB),
    Figure("cold_mb", "resident, version fetched", "MB", MORE_MB),
    Figure("swapped_mb", f"resident, after {1 + CACHED_SWAPS} swaps", "MB", MORE_MB),
)


class Row(msgspec.Struct, frozen=True):
    """One figure: medians of both, and the ratio of the medians (s) or the median of the differences (MB)."""

    what: str
    unit: Literal["s", "MB"]
    this: Estimate
    other: Estimate | None
    change: Estimate | None


class ReloadResult(msgspec.Struct, frozen=True):
    """`against` is the other checkout's folder; `turns` are the raw samples of each checkout, round by round."""

    machine: Machine
    neighbours: Contention
    bundle: str
    image_size: int
    rounds: int
    against: str | None
    rows: list[Row]
    goals: list[Goal]
    turns: dict[str, list[Turn]]


def measure_reload(bundle: Path | None, against: Path | None, *, rounds: int) -> ReloadResult:
    """Measure this checkout, in turn with the one in the folder `against` if it is given.

    Both serve `bundle`, or the default one. Raises Refusal where `against` is no checkout, or a checkout does not serve
    what it is to serve.
    """
    served = Bundle.open(bundle or default_bundle())
    contenders = [Checkout(THIS, ROOT, bundle)]
    contenders += [] if against is None else [Checkout(OTHER, against, bundle)]
    with tempfile.TemporaryDirectory() as folder, watch_contention(available_cpus()) as watch:
        for contender in contenders:
            require_own_code(contender.alone(Path(folder)))
        versions = publish_two(served, Path(folder))
        turns = {one.name: functools.partial(_turn, one, served, versions) for one in contenders}
        samples = interleave(turns, rounds, warm_up=WARM_UP, what="reload")
    rows = reload_rows(samples)
    return ReloadResult(
        machine=this_machine(),
        neighbours=watch.seen,
        bundle=served.manifest.version,
        image_size=served.manifest.input.height,
        rounds=rounds,
        against=None if against is None else str(against),
        rows=rows,
        goals=reload_goals(rows, rounds),
        turns=samples,
    )


def _turn(contender: Checkout, served: Bundle, versions: TwoVersions) -> Turn:
    with tempfile.TemporaryDirectory() as folder:
        default_s, default_mb = _started(contender.alone(Path(folder) / "none"), served.manifest.version)
        versions.point_at(versions.first)
        recipe = contender.following(versions.store.uri, Path(folder) / "cache", poll_s=POLL_S)
        cold_s, cold_mb = _started(recipe, versions.first.version)
        with serving(recipe) as server:
            warm_mb = _settled_mb(server, versions.first.version)
            fetched_s = _swapped(server, versions, versions.second)
            back_and_forth = [versions.first, versions.second] * (CACHED_SWAPS // 2)
            cached_s = [_swapped(server, versions, pointer) for pointer in back_and_forth]
            swapped_mb = _settled_mb(server, versions.second.version)
        return Turn(
            default_start_s=default_s,
            warm_start_s=server.start_s,
            cold_start_s=cold_s,
            fetched_swap_s=fetched_s,
            cached_swap_s=median_of(cached_s).value,
            default_mb=default_mb,
            warm_mb=warm_mb,
            cold_mb=cold_mb,
            swapped_mb=swapped_mb,
        )


def _started(recipe: Recipe, version: str) -> tuple[float, float]:
    """Seconds to ready, and resident MB."""
    with serving(recipe) as server:
        return server.start_s, _settled_mb(server, version)


def _settled_mb(server: Server, version: str) -> float:
    """Resident MB of a server that serves `version`; raises Refusal where it serves another."""
    seen = _version_of(server)
    if seen != version:
        raise Refusal(
            f"{server.name}: serves {seen} and not {version}; name a bundle with --bundle that both can serve"
        )
    time.sleep(SETTLE_S)
    return server.resident_bytes() / MEGABYTE


def _swapped(server: Server, versions: TwoVersions, pointer: Pointer) -> float:
    """Seconds from the pointer's writing until the server serves what it points at; raises Refusal after SWAP_S."""
    versions.point_at(pointer)
    began = time.perf_counter()
    while (seen := _version_of(server)) != pointer.version:
        if time.perf_counter() - began > SWAP_S:
            late = f"{server.name}: serves {seen} and not {pointer.version} after {SWAP_S:g} s"
            raise Refusal(f"{late}; start it by hand with DANDELION_MODELS to see why")
        time.sleep(LOOK_S)
    return time.perf_counter() - began


def _version_of(server: Server) -> str:
    """The version that the next photo would be answered by: of the same model as `POST /predict`, at less cost."""
    try:
        with closing(http.client.HTTPConnection(HOST, server.port, timeout=5)) as connection:
            connection.request("GET", "/health")
            health = msgspec.json.decode(connection.getresponse().read())
    except (OSError, http.client.HTTPException) as error:
        raise ServerError(f"{server.name}: GET /health failed ({error}); start it by hand to see why") from error
    return str(health["model"]["version"])


def reload_rows(turns: Mapping[str, Sequence[Turn]]) -> list[Row]:
    """One row a figure; without another checkout there is no change."""
    return [_row(figure, *(_samples(figure, of_one) for of_one in turns.values())) for figure in FIGURES]


def _samples(figure: Figure, turns: Sequence[Turn]) -> list[float]:
    return [getattr(turn, figure.field) for turn in turns]


def _row(figure: Figure, this: list[float], other: list[float] | None = None) -> Row:
    if other is None:
        return Row(figure.what, figure.unit, median_of(this), None, None)
    differences = [ours - theirs for ours, theirs in zip(this, other, strict=True)]
    change = ratio_of_medians(this, other) if figure.unit == "s" else median_of(differences)
    return Row(figure.what, figure.unit, median_of(this), median_of(other), change)


def reload_goals(rows: Sequence[Row], rounds: int) -> list[Goal]:
    """What may not grow over the other checkout's; none without one."""
    over = {"s": "times the other's", "MB": "MB more than the other's"}
    return [
        Goal(f"{row.what}, {over[row.unit]}", row.change, "at most", figure.limit, rounds)
        for figure, row in zip(FIGURES, rows, strict=True)
        if row.change is not None
    ]


def reload_table(result: ReloadResult) -> Table:
    """One line a figure: medians with their 95 % intervals."""
    table = Table(title=f"Hot reload (bundle {result.bundle}, {result.image_size} px, {result.rounds} rounds)")
    for column in ("", *result.turns, *(["change"] if result.against else [])):
        table.add_column(column, justify="right" if column else "left")
    for row in result.rows:
        table.add_row(row.what, *_cells(row))
    return table


def _cells(row: Row) -> list[str]:
    estimates = [row.this] if row.other is None else [row.this, row.other]
    cells = [_text(estimate, ".3f" if row.unit == "s" else ".1f", row.unit) for estimate in estimates]
    if row.change is not None:
        cells.append(_text(row.change, ".2f", "times") if row.unit == "s" else _text(row.change, "+z.1f", "MB"))
    return cells


def _text(estimate: Estimate, digits: str, unit: str) -> str:
    return f"{estimate.value:{digits}} {unit} ({estimate.low:{digits}} to {estimate.high:{digits}})"
