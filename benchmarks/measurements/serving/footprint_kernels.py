"""Time to ready and memory of the API with one kernel and another, against onnxruntime's exact INT8 kernel."""

from __future__ import annotations

import functools
import http.client
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import closing

import msgspec
from rich.table import Table

from benchmarks.contenders.servers import Recipe, Server, appliance, exact_appliance, serving
from benchmarks.host.server_process import HOST, ServerError
from benchmarks.load_generator.generator import Send
from benchmarks.load_generator.plans import Closed, Order
from benchmarks.load_generator.raw_requests import raw
from benchmarks.statistics.goals import Goal
from benchmarks.statistics.samples import Estimate, interleave, median_of, ratio_of_medians
from runtime.bundle.manifest import Bundle
from runtime.inference.backends import NATIVE, Name
from runtime.inference.kernel_labels import label_of
from runtime.native.library import VARIABLE, library

EXACT: Name = "exact"
COMPARED: Name = "avx2"  # on processors with it and no more, onnxruntime would serve with its exact kernel
AT_MOST = 0.7  # of what that takes
PHOTOS, CLIENTS = 64, 4  # sent before memory is read
TIMEOUT_S = 60.0
SETTLE_S = 2.5  # then: freed pages are given back every 2 s (`runtime.host.memory.TRIM_INTERVAL_S`)
MEGABYTE = 1_000_000


class Turn(msgspec.Struct, frozen=True):
    """One start: seconds to ready, and resident memory after PHOTOS photos."""

    start_s: float
    resident_mb: float


class KernelFootprint(msgspec.Struct, frozen=True):
    """One kernel, as `GET /model` names it: medians over its turns."""

    kernel: str
    start_s: Estimate
    resident_mb: Estimate
    turns: list[Turn]


def compared_kernels(served: Name) -> list[Name]:
    """What serves and COMPARED, if both are the native kernel's on this host; none if onnxruntime serves."""
    native = library()
    if native is None or served not in NATIVE:
        return []
    return list(dict.fromkeys((served, *(name for name in native.choices if name == COMPARED))))


def measure_kernels(
    bundle: Bundle, photos: Sequence[bytes], kernels: Sequence[Name], send: Send, *, rounds: int
) -> list[KernelFootprint]:
    """Start the appliance with each of `kernels`, and with EXACT, `rounds` times in turn; nothing without `kernels`.

    Raises ServerError if a server computes with another kernel than it was started for.
    """
    if not kernels:
        return []
    requests = [raw("/predict")(photo) for photo in photos]
    recipes = {name: appliance(bundle.path, {VARIABLE: name}, name=label_of(name)) for name in kernels}
    recipes[EXACT] = exact_appliance(bundle.path)
    turns = {str(name): functools.partial(_turn, name, recipe, requests, send) for name, recipe in recipes.items()}
    samples = interleave(turns, rounds, warm_up=1, what="kernels")
    return [_footprint(name, each) for name, each in samples.items()]


def _turn(kernel: str, recipe: Recipe, requests: list[bytes], send: Send) -> Turn:
    with serving(recipe) as server:
        serves = _kernel_of(server)
        if serves != kernel:
            raise ServerError(f"{server.name}: {serves} computes this bundle and not {kernel}")
        send(Order(server.port, requests, Closed(CLIENTS, TIMEOUT_S, requests=PHOTOS)))
        time.sleep(SETTLE_S)
        return Turn(server.start_s, server.resident_bytes() / MEGABYTE)


def _kernel_of(server: Server) -> str:
    with closing(http.client.HTTPConnection(HOST, server.port, timeout=10)) as connection:
        connection.request("GET", "/model")
        return str(json.load(connection.getresponse())["serving"]["kernel"])


def _footprint(kernel: str, turns: list[Turn]) -> KernelFootprint:
    start, resident = median_of([turn.start_s for turn in turns]), median_of([turn.resident_mb for turn in turns])
    return KernelFootprint(kernel, start, resident, turns)


def kernel_goals(rows: Sequence[KernelFootprint]) -> list[Goal]:
    """COMPARED against EXACT, if both were measured."""
    found = {row.kernel: row for row in rows}
    if not {COMPARED, EXACT} <= set(found):
        return []
    ours, theirs = found[COMPARED].turns, found[EXACT].turns
    ratios: Mapping[str, Estimate] = {
        "start to ready": ratio_of_medians([turn.start_s for turn in ours], [turn.start_s for turn in theirs]),
        "resident memory": ratio_of_medians([turn.resident_mb for turn in ours], [turn.resident_mb for turn in theirs]),
    }
    what = f"{label_of(COMPARED)} over {label_of(EXACT)}"
    return [Goal(f"{name}, {what}", ratio, "at most", AT_MOST, len(ours)) for name, ratio in ratios.items()]


def kernels_table(rows: Sequence[KernelFootprint]) -> Table:
    """One line a kernel."""
    table = Table(title=f"The API alone by kernel, after {PHOTOS} photos")
    for column in ("kernel", "start to ready, s", "95 % interval", "resident, MB", "95 % interval"):
        table.add_column(column, justify="left" if column == "kernel" else "right")
    for row in rows:
        start, resident = row.start_s, row.resident_mb
        table.add_row(
            label_of(row.kernel),
            f"{start.value:.2f}",
            f"{start.low:.2f} to {start.high:.2f}",
            f"{resident.value:.0f}",
            f"{resident.low:.0f} to {resident.high:.0f}",
        )
    return table
