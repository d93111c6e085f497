"""Silent connections and half heads at a hard limit of open files: health must be answered throughout."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import msgspec

from benchmarks.contenders.confined import Starter
from benchmarks.measurements.robustness.attackers import connect, send
from benchmarks.measurements.robustness.exchange import HONEST, exchange
from benchmarks.statistics.goals import Goal, counted
from runtime.cli.progress import progress

FILES = 1024
EVERY_S = 0.2
HEALTH_S = 5.0  # a probe of Kubernetes waits for so long here
HELD_S = 15.0  # after the last: longer than a head may take
_HALF = b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Half: "
_HEALTH = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class Look(msgspec.Struct, frozen=True):
    """One question about health: its answer (0: none within HEALTH_S) and the time that it took."""

    status: int
    seconds: float


class ConnectionsResult(msgspec.Struct, frozen=True):
    """`opened` of the `tried` connections were accepted; the appliance may have closed them since."""

    files: int
    tried: int
    opened: int
    looks: list[Look]
    deaths: int


def measure_connections(start: Starter, tried: int, *, files: int = FILES, held_s: float = HELD_S) -> ConnectionsResult:
    """Open `tried` connections, every other with half a head, and hold them for `held_s` after the last."""
    looks: list[Look] = []
    with start(files=files) as confined, _looking(confined.appliance.port, looks):
        opened = _open(confined.appliance.port, tried, held_s)
        return ConnectionsResult(files, tried, opened, looks, int(confined.kills > 0))


def _open(port: int, tried: int, held_s: float) -> int:
    opened = 0
    with ExitStack() as stack, progress("silent connections", tried) as advance:
        for number in range(tried):
            connection = connect(port)
            if connection is not None:
                stack.callback(connection.close)
                send(connection, _HALF if number % 2 else b"")
                opened += 1
            advance()
        time.sleep(held_s)
    return opened


@contextmanager
def _looking(port: int, looks: list[Look]) -> Iterator[None]:
    """Ask about health every EVERY_S while the block runs."""
    stop = threading.Event()
    thread = threading.Thread(target=_look, args=(port, looks, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _look(port: int, looks: list[Look], stop: threading.Event) -> None:
    while not stop.is_set():
        began = time.monotonic()
        status = exchange(port, _HEALTH, source=HONEST, timeout_s=HEALTH_S).status
        looks.append(Look(status, round(time.monotonic() - began, 3)))
        stop.wait(max(0.0, EVERY_S - (time.monotonic() - began)))


def connections_goals(result: ConnectionsResult) -> list[Goal]:
    """The figures to reach."""
    what = f"{result.tried} silent connections and half heads at {result.files} files"
    unanswered = sum(look.status != 200 for look in result.looks)
    return [
        counted(f"{what}: health not answered, of {len(result.looks)}", unanswered, "at most", 0),
        counted(f"{what}: deaths", result.deaths, "at most", 0),
    ]


def describe_connections(result: ConnectionsResult) -> str:
    """In a line."""
    slowest = max((look.seconds for look in result.looks), default=0.0)
    opened = f"{result.opened} of {result.tried} connections were opened"
    return f"{opened}; the slowest answer about health took {slowest:.2f} s"
