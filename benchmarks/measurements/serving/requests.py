"""Cost of a request against another checkout: server CPU time per photo and throughput, raw bodies and forms."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Literal

import msgspec
from rich.table import Table

from benchmarks.contenders.checkouts import OTHER, THIS, Checkout, require_own_code
from benchmarks.contenders.servers import ROOT, Server, serving
from benchmarks.host.interference import Contention, watch_contention
from benchmarks.host.machine import Machine, this_machine
from benchmarks.host.server_process import ServerError
from benchmarks.load_generator.generator import Send, generator
from benchmarks.load_generator.plans import Closed, Order, describe_statuses
from benchmarks.load_generator.raw_requests import Encode, form, raw
from benchmarks.statistics.goals import Goal
from benchmarks.statistics.samples import Estimate, interleave, median_of, ratio_of_medians
from runtime.bundle.manifest import Bundle
from runtime.host.cpu import available_cpus

CLIENTS = (1, 16)
Body = Literal["raw", "form"]
BODIES: dict[Body, Encode] = {"raw": raw("/predict"), "form": form("/predict")}
MORE_CPU = 1.02  # the other's CPU time that goes unnoticed
MORE_FORMS = 1.15  # times the other's photos/s by form, at the most clients

Turns = dict[str, list["Turn"]]


class Turn(msgspec.Struct, frozen=True):
    """One burst: the server's CPU time per answered photo, all its processes, and photos per second."""

    cpu_ms: float
    photos_per_s: float


class Row(msgspec.Struct, frozen=True):
    """One way of sending: medians of this checkout, and ratios of the medians of both."""

    image_size: int
    body: Body
    clients: int
    cpu_ms: Estimate
    photos_per_s: Estimate
    cpu_ratio: Estimate
    rate_ratio: Estimate


class RequestsResult(msgspec.Struct, frozen=True):
    """`against` is the other checkout's folder."""

    machine: Machine
    neighbours: Contention
    photos: str
    rounds: int
    seconds: float
    against: str
    rows: list[Row]
    goals: list[Goal]


def measure_requests(
    bundles: Sequence[Bundle], photos: Sequence[bytes], source: str, against: Path, *, rounds: int, seconds: float
) -> RequestsResult:
    """Have this checkout and the one in the folder `against` answer the same photos in turn, with each bundle.

    Raises Refusal where `against` is no checkout, and ServerError where a server does not answer a request with 200.
    """
    rows: list[Row] = []
    with watch_contention(available_cpus()) as watch:
        for bundle in bundles:
            with ExitStack() as stack:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                servers = [stack.enter_context(_serving(name, at, bundle, folder))
                           for name, at in ((THIS, ROOT), (OTHER, against))]  # fmt: skip
                for server in servers:
                    watch.include(server.pid)
                rows += _rows(servers, stack.enter_context(generator()), bundle, photos, rounds, seconds)
    goals = request_goals(rows, rounds)
    return RequestsResult(this_machine(), watch.seen, source, rounds, seconds, str(against), rows, goals)


def _serving(name: str, checkout: Path, bundle: Bundle, folder: Path) -> AbstractContextManager[Server]:
    # On a slow or busy host 16 clients would wait longer than the default budget, and get 503.
    recipe = Checkout(name, checkout, bundle.path).alone(folder / name, DANDELION_BUDGET_MS="60000")
    require_own_code(recipe)
    return serving(recipe)


def _rows(
    servers: Sequence[Server], send: Send, bundle: Bundle, photos: Sequence[bytes], rounds: int, seconds: float
) -> list[Row]:
    size = bundle.manifest.input.height
    rows = []
    for body, encode in BODIES.items():
        requests = [encode(photo) for photo in photos]
        for clients in CLIENTS:
            plan = Closed(clients, seconds)
            turns: dict[str, Callable[[], Turn]] = {
                server.name: functools.partial(_turn, server, send, requests, plan) for server in servers
            }
            samples = interleave(turns, rounds, warm_up=1, what=_way(size, body, clients))
            rows.append(request_row(size, body, clients, samples))
    return rows


def _way(image_size: int, body: Body, clients: int) -> str:
    return f"{image_size} px, {body}, {clients} client{'s' if clients > 1 else ''}"


def _turn(server: Server, send: Send, requests: list[bytes], plan: Closed) -> Turn:
    before = server.cpu_s()
    burst = send(Order(server.port, requests, plan))
    worked_s = server.cpu_s() - before
    if burst.answered < len(burst.status) or not burst.answered:
        raise ServerError(
            f"{server.name}: answered {describe_statuses(burst.statuses()) or 'nothing'}; send one of the photos by "
            "hand to see why"
        )
    return Turn(1000 * worked_s / burst.answered, burst.rate_per_s)


def request_row(image_size: int, body: Body, clients: int, turns: Turns) -> Row:
    """The row of one way of sending, from the turns of THIS and OTHER, round by round."""
    cpu = [[turn.cpu_ms for turn in turns[name]] for name in (THIS, OTHER)]
    rate = [[turn.photos_per_s for turn in turns[name]] for name in (THIS, OTHER)]
    return Row(
        image_size, body, clients, median_of(cpu[0]), median_of(rate[0]),
        ratio_of_medians(*cpu), ratio_of_medians(*rate),
    )  # fmt: skip


def request_goals(rows: Sequence[Row], rounds: int) -> list[Goal]:
    """What a request may cost over the other checkout's, and what a form is to gain."""
    goals = []
    for row in rows:
        name = _way(row.image_size, row.body, row.clients)
        goals.append(Goal(f"{name}: CPU time over the other's", row.cpu_ratio, "at most", MORE_CPU, rounds))
        if row.body == "form" and row.clients == CLIENTS[-1]:
            goals.append(Goal(f"{name}: photos/s over the other's", row.rate_ratio, "at least", MORE_FORMS, rounds))
    return goals


def requests_table(result: RequestsResult) -> Table:
    """One line a way of sending."""
    table = Table(title=f"Cost of a request ({result.photos}; {result.rounds} rounds of {result.seconds:g} s)")
    for column in ("", "CPU a photo", "photos/s", "CPU over the other's", "photos/s over the other's"):
        table.add_column(column, justify="right" if column else "left")
    for row in result.rows:
        table.add_row(
            _way(row.image_size, row.body, row.clients),
            f"{row.cpu_ms.value:.2f} ms",
            f"{row.photos_per_s.value:.1f}",
            *(f"{ratio.value:.3f} ({ratio.low:.3f} to {ratio.high:.3f})" for ratio in (row.cpu_ratio, row.rate_ratio)),
        )
    return table
