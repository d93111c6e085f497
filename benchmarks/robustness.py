"""Thousands of hostile requests to a running appliance: it must answer each with a refusal, and stay as it was."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import NamedTuple

import msgspec
from rich.table import Table

from benchmarks.appliance import HOST, Appliance, appliance
from benchmarks.hostile import Attack, attacks, good_request
from benchmarks.machine import Machine, this_machine
from runtime.progress import progress

WARM_UP = 1000  # requests before memory is held against the appliance; half of them all where there are fewer
GROWTH = 0.05
CLIENTS = 4
BATCH = 100  # after each, with no request under way, memory is read and a good photo asked about
ANSWER_S = 60
NO_ANSWER = "no answer"
_GOOD = 200
_OVERLOADED = 503
_FAILURES = 500


class Sample(msgspec.Struct, frozen=True):
    """Resident memory after so many requests."""

    requests: int
    resident_mb: float


class RobustnessResult(msgspec.Struct, frozen=True):
    """What came back. `answers` counts by kind of request and by status; `growth` is a share of the warm size.

    `failures` are the sentences to act on; empty where all is well.
    """

    machine: Machine
    seed: int
    bodies: int
    answers: dict[str, dict[str, int]]
    memory: list[Sample]
    peak_mb: float
    growth: float
    slowest_s: float
    slowest: str
    stacks_logged: int
    failures: list[str]


class _Sent(NamedTuple):
    number: int
    attack: Attack
    status: str
    seconds: float


def measure_robustness(
    bodies: int, *, seed: int = 0, arguments: Sequence[str] = (), originals: Sequence[bytes] | None = None
) -> RobustnessResult:
    """Send `bodies` requests to an appliance started for it with `arguments`; the same ones for the same seed."""
    attack = attacks(seed, originals)
    answers: dict[str, Counter[str]] = {}
    failures: list[str] = []
    slowest = (0.0, "")
    with tempfile.TemporaryDirectory() as folder, appliance(Path(folder), *arguments) as running:
        memory = [Sample(0, running.resident_mb())]
        with ThreadPoolExecutor(CLIENTS) as clients, progress("hostile requests", bodies) as advance:
            for first in range(0, bodies, BATCH):
                numbers = range(first, min(first + BATCH, bodies))
                for sent in clients.map(lambda number: _send(number, attack(number), running.port), numbers):
                    answers.setdefault(sent.attack.kind, Counter())[sent.status] += 1
                    failures += _judge(sent)
                    slowest = max(slowest, (sent.seconds, _name(sent)))
                failures += _judge_health(running, numbers.stop)
                memory.append(Sample(numbers.stop, round(running.resident_mb(), 1)))
                advance(len(numbers), note=f"{memory[-1].resident_mb:.0f} MB")
                if not running.alive:
                    break
        peak_mb = running.peak_mb()
        stacks = running.log.read_text(errors="replace").count("Traceback")
    growth = growth_of(memory)
    if growth > GROWTH:
        failures.append(f"memory grew by {growth:.1%} after the warm-up, more than {GROWTH:.0%}")
    if stacks:
        failures.append(f"{stacks} stack traces in the log")
    return RobustnessResult(
        machine=this_machine(),
        seed=seed,
        bodies=bodies,
        answers={kind: dict(sorted(counts.items())) for kind, counts in sorted(answers.items())},
        memory=memory,
        peak_mb=round(peak_mb, 1),
        growth=round(growth, 4),
        slowest_s=round(slowest[0], 2),
        slowest=slowest[1],
        stacks_logged=stacks,
        failures=failures,
    )


def growth_of(memory: Sequence[Sample]) -> float:
    """The share by which resident memory grew after the warm-up: medians of the three readings at either end."""
    last = memory[-1].requests
    warm_up = min(WARM_UP, last // 2)
    warm = [sample.resident_mb for sample in memory if sample.requests <= warm_up][-3:]
    end = [sample.resident_mb for sample in memory if sample.requests > warm_up][-3:]
    return median(end) / median(warm) - 1 if warm and end else 0.0


def _send(number: int, attack: Attack, port: int) -> _Sent:
    began = time.monotonic()
    try:
        with socket.create_connection((HOST, port), timeout=ANSWER_S) as connection:
            status = _exchange(attack, connection)
    except OSError:
        status = NO_ANSWER
    return _Sent(number, attack, status, time.monotonic() - began)


def _name(sent: _Sent) -> str:
    return f"request {sent.number} ({sent.attack.kind})"


def _exchange(attack: Attack, connection: socket.socket) -> str:
    """The status that a request is answered with, or that there is none."""
    if attack.reset:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # One that is refused before it was read to the end has its answer all the same, or has none.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(attack.request)
    if attack.reset:
        return NO_ANSWER
    if not attack.answered:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
    return _read_status(connection)


def _read_status(connection: socket.socket) -> str:
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            answer += part
    answer = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    found = re.match(rb"HTTP/1\.[01] (\d{3}) ", answer)
    return found[1].decode() if found else NO_ANSWER


def _judge(sent: _Sent) -> list[str]:
    if sent.status == NO_ANSWER:
        return [f"{_name(sent)}: no answer"] if sent.attack.answered else []
    status = int(sent.status)
    return [f"{_name(sent)}: status {status}"] if status >= _FAILURES and status != _OVERLOADED else []


def _judge_health(running: Appliance, requests: int) -> list[str]:
    """A good photo in between is answered as ever."""
    if not running.alive:
        return [f"the appliance ended with {running.process.returncode} after {requests} requests"]
    sent = _send(requests, good_request(), running.port)
    return [] if sent.status == str(_GOOD) else [f"a good photo after {requests} requests: {sent.status}"]


def robustness_table(result: RobustnessResult) -> Table:
    """One line a kind of request, one column a status."""
    statuses = sorted({status for counts in result.answers.values() for status in counts})
    table = Table(title=f"{result.bodies} hostile requests, seed {result.seed}")
    table.add_column("")
    for status in statuses:
        table.add_column(status, justify="right")
    for kind, counts in result.answers.items():
        table.add_row(kind, *(str(counts.get(status, "")) for status in statuses))
    return table


def memory_curve(result: RobustnessResult) -> str:
    """Resident memory along the way, in ten readings."""
    every = max(1, len(result.memory) // 10)
    readings = [*result.memory[::every], result.memory[-1]]
    return "MB after requests: " + ", ".join(f"{sample.requests}: {sample.resident_mb:.0f}" for sample in readings)
