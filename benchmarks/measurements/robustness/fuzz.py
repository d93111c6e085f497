"""Fuzz test of a running appliance: it must refuse each malformed request and stay as it was."""

from __future__ import annotations

import contextlib
import functools
import re
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import msgspec
from rich.table import Table

from benchmarks.contenders.appliance import Appliance
from benchmarks.contenders.confined import Confined, Starter
from benchmarks.host.server_process import HOST
from benchmarks.measurements.robustness.fuzz_corpus import Attack, attacks, good_request
from benchmarks.statistics.goals import Goal, counted
from runtime.cli.progress import Advance, progress

WARM_UP = 1000  # requests before memory is held against the appliance; half of them all where there are fewer
GROWTH = 0.03
SETTLE_S = 10.0  # without requests, before memory is compared
CLIENTS = 4
BATCH = 100  # after each, with no request under way, memory is read and a good photo asked about
ANSWER_S = 60
NO_ANSWER = "no answer"
_GOOD = 200
_OVERLOADED = 503
_FAILURES = 500
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


class Sample(msgspec.Struct, frozen=True):
    """Resident memory after so many requests."""

    requests: int
    resident_mb: float


class FuzzResult(msgspec.Struct, frozen=True):
    """What came back. `answers` counts by kind of request and by status.

    `warm` and `end` are resident memory after the warm-up and after all, each without requests for SETTLE_S.
    `failures` are the sentences to act on; empty where all is well. `deaths` counts the appliance's.
    """

    seed: int
    bodies: int
    answers: dict[str, dict[str, int]]
    memory: list[Sample]
    warm: Sample
    end: Sample
    peak_mb: float
    slowest_s: float
    slowest: str
    failures: list[str]
    deaths: int

    @property
    def growth(self) -> float:
        """The share by which resident memory grew after the warm-up."""
        return self.end.resident_mb / self.warm.resident_mb - 1


class _Sent(NamedTuple):
    number: int
    attack: Attack
    status: str
    seconds: float


class _Tally:
    """What has come back so far."""

    def __init__(self) -> None:
        self.answers: dict[str, Counter[str]] = {}
        self.failures: list[str] = []
        self.slowest = (0.0, "")

    def count(self, sent: _Sent) -> None:
        self.answers.setdefault(sent.attack.kind, Counter())[sent.status] += 1
        self.failures += _judge(sent)
        self.slowest = max(self.slowest, (sent.seconds, _name(sent)))


def measure_fuzz(
    bodies: int,
    *,
    start: Starter,
    seed: int = 0,
    settle_s: float = SETTLE_S,
    originals: Sequence[bytes] | None = None,
) -> FuzzResult:
    """Send `bodies` requests to an appliance started for it; the same ones for the same seed."""
    tally, warm_up = _Tally(), min(WARM_UP, bodies // 2)
    with start() as confined:
        running = confined.appliance
        with ThreadPoolExecutor(CLIENTS) as clients, progress("hostile requests", bodies) as advance:
            attack = attacks(seed, originals)
            send = functools.partial(_send_batch, running, attack, clients, tally)
            memory = [_sample(0, running)]
            memory += _send_all(range(warm_up), send, advance)
            warm = _settled(warm_up, running, settle_s)
            memory += _send_all(range(warm_up, bodies), send, advance)
            end = _settled(bodies, running, settle_s)
        return _result(seed, bodies, tally, memory, warm, end, confined)


def _send_all(numbers: range, send: Callable[[range], Sample | None], advance: Advance) -> Iterator[Sample]:
    """Batch by batch, until the appliance ends; what memory was after each."""
    for first in range(numbers.start, numbers.stop, BATCH):
        batch = range(first, min(first + BATCH, numbers.stop))
        sample = send(batch)
        if sample is None:
            return
        yield sample
        advance(len(batch), note=f"{sample.resident_mb:.0f} MB")


def _send_batch(
    running: Appliance, attack: Callable[[int], Attack], clients: ThreadPoolExecutor, tally: _Tally, numbers: range
) -> Sample | None:
    if not running.alive:
        return None
    for sent in clients.map(lambda number: _send(number, attack(number), running.port), numbers):
        tally.count(sent)
    tally.failures += _judge_health(running, numbers.stop)
    return _sample(numbers.stop, running)


def _settled(requests: int, running: Appliance, settle_s: float) -> Sample:
    if running.alive:
        time.sleep(settle_s)
    return _sample(requests, running)


def _sample(requests: int, running: Appliance) -> Sample:
    return Sample(requests, round(running.resident_mb(), 1))


def _result(
    seed: int, bodies: int, tally: _Tally, memory: list[Sample], warm: Sample, end: Sample, confined: Confined
) -> FuzzResult:
    stacks = confined.appliance.log.read_text(errors="replace").count("Traceback")
    return FuzzResult(
        seed=seed,
        bodies=bodies,
        answers={kind: dict(sorted(counts.items())) for kind, counts in sorted(tally.answers.items())},
        memory=memory,
        warm=warm,
        end=end,
        peak_mb=round(confined.appliance.peak_mb(), 1),
        slowest_s=round(tally.slowest[0], 2),
        slowest=tally.slowest[1],
        failures=tally.failures + ([f"{stacks} stack traces in the log"] if stacks else []),
        deaths=confined.kills,
    )


def fuzz_goals(result: FuzzResult) -> list[Goal]:
    """The figures to reach."""
    sent = sum(sum(statuses.values()) for statuses in result.answers.values())
    what = f"{sent} hostile requests"
    return [
        counted(f"{what}: 5xx but not 503, answers missing, stacks logged", len(result.failures), "at most", 0),
        counted(f"{what}: deaths", result.deaths, "at most", 0),
        counted(f"resident memory, after {result.bodies} requests over {result.warm.requests}", 1 + result.growth,
                "at most", 1 + GROWTH),
    ]  # fmt: skip


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
    """The status that a request is answered with, the worst of several, or that there is none."""
    if attack.reset:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # One that is refused before it was read to the end has its answer all the same, or has none.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(attack.request)
    if attack.reset:
        return NO_ANSWER
    if attack.half_closed or not attack.answered:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
    return _read_status(connection)


def _read_status(connection: socket.socket) -> str:
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            answer += part
    statuses = [int(status) for status in _STATUS.findall(answer) if status != b"100"]
    failed = [status for status in statuses if _is_failure(status)]
    return str((failed or statuses)[0]) if statuses else NO_ANSWER


def _is_failure(status: int) -> bool:
    return status >= _FAILURES and status != _OVERLOADED


def _judge(sent: _Sent) -> list[str]:
    if sent.status == NO_ANSWER:
        return [f"{_name(sent)}: no answer"] if sent.attack.answered else []
    return [f"{_name(sent)}: status {sent.status}"] if _is_failure(int(sent.status)) else []


def _judge_health(running: Appliance, requests: int) -> list[str]:
    """A good photo in between is answered as ever."""
    if not running.alive:
        return [f"the appliance ended with {running.process.returncode} after {requests} requests"]
    sent = _send(requests, good_request(), running.port)
    return [] if sent.status == str(_GOOD) else [f"a good photo after {requests} requests: {sent.status}"]


def fuzz_table(result: FuzzResult) -> Table:
    """One line a kind of request, one column a status."""
    statuses = sorted({status for counts in result.answers.values() for status in counts})
    table = Table(title=f"{result.bodies} hostile requests, seed {result.seed}")
    table.add_column("")
    for status in statuses:
        table.add_column(status, justify="right")
    for kind, counts in result.answers.items():
        table.add_row(kind, *(str(counts.get(status, "")) for status in statuses))
    return table


def memory_curve(result: FuzzResult) -> str:
    """Resident memory along the way, in ten readings."""
    every = max(1, len(result.memory) // 10)
    readings = [*result.memory[::every], result.memory[-1]]
    text = "MB after requests: " + ", ".join(f"{sample.requests}: {sample.resident_mb:.0f}" for sample in readings)
    warm, end = result.warm, result.end
    return f"{text}; at rest after {warm.requests}: {warm.resident_mb:.1f}, after {end.requests}: {end.resident_mb:.1f}"
