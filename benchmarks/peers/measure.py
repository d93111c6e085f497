"""Side-by-side benchmark of servers: each is started, loaded and stopped in every round."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.contenders.environments import NotInstalled, environment, installed_bytes, versions
from benchmarks.contenders.installed import our_megabytes
from benchmarks.contenders.servers import Recipe, Server, serving
from benchmarks.host.interference import Contention, watch_contention
from benchmarks.host.machine import Machine, this_machine
from benchmarks.host.server_process import ServerError
from benchmarks.load_generator import raw_requests
from benchmarks.load_generator.generator import Send, generator
from benchmarks.load_generator.plans import Closed, Order, describe_statuses
from benchmarks.load_generator.raw_requests import Encode
from benchmarks.peers.catalogue import OURS, REPLACED, REPLACED_SIZE, Peer, our_recipe, recipe, requirements_of
from benchmarks.statistics.samples import Estimate, interleave, median_of
from runtime.bundle.manifest import Bundle
from runtime.cli.progress import progress
from runtime.host.cpu import available_cpus

WARM_UP_CLIENTS = 4
FIRST_REQUESTS, FIRST_S = 4, 30.0
MEGABYTE = 1_000_000


class Loaded(msgspec.Struct, frozen=True):
    """One burst of a closed loop."""

    photos_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_s_per_1000: float
    statuses: dict[str, int]


class Turn(msgspec.Struct, frozen=True):
    """One server in one round: from start to ready, bursts by clients, memory and processes after them."""

    start_s: float
    loaded: dict[int, Loaded]
    resident_mb: float
    processes: int


class Row(msgspec.Struct, frozen=True):
    """One server in one setting; `reason` says why there are no turns."""

    name: str
    title: str
    setting: str
    image_size: int
    installed_mb: float
    turns: list[Turn]
    versions: dict[str, str]
    reason: str | None = None

    def rates(self, clients: int) -> list[float]:
        """Photos per second, round by round."""
        return [turn.loaded[clients].photos_per_s for turn in self.turns]

    def p50s(self, clients: int) -> list[float]:
        """Median latency, ms, round by round."""
        return [turn.loaded[clients].p50_ms for turn in self.turns]

    def p99_ms(self, clients: int) -> float:
        """The median of the rounds' 99th percentiles."""
        return float(np.median([turn.loaded[clients].p99_ms for turn in self.turns]))

    def cpu(self, clients: int) -> list[float]:
        """CPU seconds for 1 000 photos, round by round."""
        return [turn.loaded[clients].cpu_s_per_1000 for turn in self.turns]

    @property
    def starts(self) -> list[float]:
        """Start to ready, s, round by round."""
        return [turn.start_s for turn in self.turns]

    @property
    def memory(self) -> list[float]:
        """Resident after the load, MB, round by round."""
        return [turn.resident_mb for turn in self.turns]

    def rate(self, clients: int) -> Estimate:
        """Photos per second."""
        return median_of(self.rates(clients))


class PeersResult(msgspec.Struct, frozen=True):
    """All servers; `bundle` is the one whose INT8 file all but the replaced stack serve, at `image_size`."""

    machine: Machine
    neighbours: Contention
    bundle: str
    image_size: int
    photos: str
    rounds: int
    seconds: float
    clients: list[int]
    rows: list[Row]


class _Contender(msgspec.Struct, frozen=True):
    """What is started, and the row it will fill."""

    recipe: Recipe
    encode: Encode
    row: Row


def measure_peers(
    bundles: Sequence[Bundle],
    peers: Sequence[Peer],
    photos: Sequence[bytes],
    source: str,
    *,
    clients: Sequence[int],
    rounds: int,
    seconds: float,
    environments: Path,
    install: bool = True,
) -> PeersResult:
    """Measure ours with each of `bundles` and the peers with the first one's INT8 file.

    A peer that cannot be installed or does not answer keeps its row, with the reason; `install` allows to install.
    """
    contenders, refused = _contenders(bundles, peers, environments, install=install)
    with watch_contention(available_cpus()) as watch, generator() as send:
        able, unable = _try(contenders, send, photos)
        turns = {
            str(index): functools.partial(_turn, one, send, photos, clients, seconds) for index, one in enumerate(able)
        }
        samples = interleave(turns, rounds, warm_up=0, what="peers") if turns else {}
    rows = [_filled(one.row, samples[str(index)]) for index, one in enumerate(able)]
    first = bundles[0].manifest
    return PeersResult(
        machine=this_machine(),
        neighbours=watch.seen,
        bundle=first.version,
        image_size=first.input.height,
        photos=source,
        rounds=rounds,
        seconds=seconds,
        clients=list(clients),
        rows=[*rows, *unable, *refused],
    )


def _contenders(
    bundles: Sequence[Bundle], peers: Sequence[Peer], root: Path, *, install: bool
) -> tuple[list[_Contender], list[Row]]:
    ours_mb = sum(our_megabytes().values())
    able = [
        _Contender(
            our_recipe(bundle),
            raw_requests.form("/predict"),
            Row(OURS, OURS, "its own", bundle.manifest.input.height, ours_mb, [], {}),
        )
        for bundle in bundles
    ]
    refused: list[Row] = []
    with progress("environments", len(peers)) as advance:
        for peer in peers:
            size = REPLACED_SIZE if peer.name == REPLACED else bundles[0].manifest.input.height
            try:
                folder = environment(requirements_of(peer.name), root / peer.name, install=install)
            except NotInstalled as error:
                refused.append(Row(peer.name, peer.title, "", size, 0.0, [], {}, str(error)))
            else:
                megabytes, installed = installed_bytes(folder) / MEGABYTE, versions(peer.name, folder)
                able += [
                    _Contender(
                        recipe(peer, setting, folder, bundles[0]),
                        peer.encode,
                        Row(peer.name, peer.title, str(setting), size, megabytes, [], installed),
                    )
                    for setting in dict.fromkeys(peer.settings(available_cpus()))
                ]
            advance()
    return able, refused


def _try(contenders: Sequence[_Contender], send: Send, photos: Sequence[bytes]) -> tuple[list[_Contender], list[Row]]:
    """Start each once: what does not start or answer is told now, not after an hour."""
    able: list[_Contender] = []
    unable: list[Row] = []
    with progress("try each", len(contenders)) as advance:
        for one in contenders:
            reason = _refusal(one, send, photos)
            if reason is None:
                able.append(one)
            else:
                unable.append(msgspec.structs.replace(one.row, reason=reason))
            advance()
    return able, unable


def _refusal(one: _Contender, send: Send, photos: Sequence[bytes]) -> str | None:
    """Why it cannot be measured; None where it answers."""
    try:
        with serving(one.recipe) as server:
            plan = Closed(1, FIRST_S, requests=FIRST_REQUESTS)
            burst = send(Order(server.port, _encoded(one, photos), plan))
    except ServerError as error:
        return str(error)
    return None if burst.answered >= FIRST_REQUESTS else f"its first answers were {describe_statuses(burst.statuses())}"


def _turn(
    one: _Contender, send: Send, photos: Sequence[bytes], clients: Sequence[int], seconds: float
) -> Turn | ServerError:
    requests = _encoded(one, photos)
    try:
        with serving(one.recipe) as server:
            send(Order(server.port, requests, Closed(WARM_UP_CLIENTS, min(1.0, seconds))))
            loaded = {count: _loaded(server, send, Order(server.port, requests, Closed(count, seconds)))
                      for count in clients}  # fmt: skip
            return Turn(server.start_s, loaded, server.resident_bytes() / MEGABYTE, server.processes())
    except ServerError as error:
        return error


def _loaded(server: Server, send: Send, order: Order) -> Loaded:
    before = server.cpu_s()
    burst = send(order)
    worked_s = server.cpu_s() - before
    return Loaded(
        photos_per_s=burst.rate_per_s,
        p50_ms=burst.quantile_ms(0.5),
        p99_ms=burst.quantile_ms(0.99),
        cpu_s_per_1000=1000 * worked_s / max(1, burst.answered),
        statuses=burst.statuses(),
    )


def _encoded(one: _Contender, photos: Sequence[bytes]) -> list[bytes]:
    return [one.encode(photo) for photo in photos]


def _filled(row: Row, turns: Sequence[Turn | ServerError]) -> Row:
    """The row with its turns; without any where the server once failed under load."""
    for turn in turns:
        if isinstance(turn, ServerError):
            return msgspec.structs.replace(row, reason=str(turn))
    return msgspec.structs.replace(row, turns=[turn for turn in turns if isinstance(turn, Turn)])
