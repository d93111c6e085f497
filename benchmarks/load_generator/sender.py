"""The load generator's own process: `python -m benchmarks.load_generator.sender` performs what stdin tells it to.

Each line is the path of an order and, after a tab, that of the burst to write; when that lies there, so does a line in
stdout.

It shares the cores with the server that it measures, so it does as little as it can: requests are ready bytes, answers
are read when the burst is over, and its own CPU time is told with every burst.
"""

from __future__ import annotations

import asyncio
import gc
import random
import sys
import time
from pathlib import Path
from typing import NamedTuple

import msgspec

from benchmarks.load_generator.connection import BROKEN, Connections, Reply
from benchmarks.load_generator.plans import Burst, Closed, Open, Order

HOST = "127.0.0.1"
OPENED_BEFOREHAND = 8
REFUSED_PAUSE_S = 0.01


class _Timed(msgspec.Struct):
    timings_ms: dict[str, float]


class _Asked(NamedTuple):
    """One request: when it was due and how long its answer took (s from the burst's beginning), and which it was."""

    due_s: float
    took_s: float
    kind: int
    reply: Reply


class _Tape:
    """Numbers the requests of a burst and records what became of them."""

    def __init__(self, order: Order, connections: Connections) -> None:
        self._order = order
        self._connections = connections
        self._began = time.perf_counter()
        self.sent = 0
        self.asked: list[_Asked] = []
        self.late_s: list[float] = []

    @property
    def now_s(self) -> float:
        return time.perf_counter() - self._began

    async def ask(self, due_s: float | None = None) -> Reply:
        """Send the next request, which was due at `due_s`, or when it is sent."""
        kind = (self._order.first + self.sent) % len(self._order.requests)
        self.sent += 1
        reply = await self._connections.ask(self._order.requests[kind])
        due_s = reply.sent_s - self._began if due_s is None else due_s
        self.asked.append(_Asked(due_s, reply.came_s - self._began - due_s, kind, reply))
        return reply


async def perform(order: Order) -> Burst:
    """Send one burst and wait for the last answer, at most `timeout_s` longer than it was to last."""
    plan = order.plan
    closed = isinstance(plan, Closed)
    most = plan.clients if isinstance(plan, Closed) else plan.connections
    patience_s = plan.seconds + order.timeout_s
    connections = Connections(HOST, order.port, most=most, patience_s=patience_s, source=order.source)
    await connections.prepare(most if closed else OPENED_BEFOREHAND)
    gc.collect()
    gc.disable()
    cpu_s = time.process_time()
    tape = _Tape(order, connections)
    await (_closed_loop(plan, tape) if isinstance(plan, Closed) else _open_loop(plan, tape))
    seconds, cpu_s = tape.now_s, time.process_time() - cpu_s
    gc.enable()
    connections.close()
    limited = closed and seconds < plan.seconds  # by the number of requests
    return _burst(tape, cpu_s=cpu_s, seconds=seconds, window_s=seconds if limited else plan.seconds)


async def _closed_loop(plan: Closed, tape: _Tape) -> None:
    most = float("inf") if plan.requests is None else plan.requests

    async def client() -> None:
        while tape.now_s < plan.seconds and tape.sent < most:
            reply = await tape.ask()
            if reply.status == BROKEN:
                await asyncio.sleep(REFUSED_PAUSE_S)

    await asyncio.gather(*(client() for _ in range(plan.clients)))


async def _open_loop(plan: Open, tape: _Tape) -> None:
    generator = random.Random(plan.seed)  # noqa: S311 - no secret
    under_way: set[asyncio.Task[Reply]] = set()
    due_s = generator.expovariate(plan.rate_per_s)
    while due_s < plan.seconds:
        if (wait_s := due_s - tape.now_s) > 0:
            await asyncio.sleep(wait_s)
        tape.late_s.append(max(0.0, tape.now_s - due_s))
        task = asyncio.ensure_future(tape.ask(due_s))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        due_s += generator.expovariate(plan.rate_per_s)
    if under_way:
        await asyncio.wait(under_way)


def _burst(tape: _Tape, *, cpu_s: float, seconds: float, window_s: float) -> Burst:
    stages: dict[str, list[float]] = {}
    for asked in tape.asked:
        for stage, value in _timings(asked.reply).items():
            stages.setdefault(stage, []).append(value)
    return Burst(
        latency_ms=[round(asked.took_s * 1000, 3) for asked in tape.asked],
        arrived_s=[round(asked.due_s, 4) for asked in tape.asked],
        status=[asked.reply.status for asked in tape.asked],
        kind=[asked.kind for asked in tape.asked],
        retry_after=[asked.reply.retry_after for asked in tape.asked],
        late_ms=[round(late * 1000, 3) for late in tape.late_s],
        stages_ms=stages,
        cpu_s=round(cpu_s, 4),
        seconds=round(seconds, 4),
        window_s=round(window_s, 4),
    )


def _timings(reply: Reply) -> dict[str, float]:
    """The server's own timings in an answer; of servers that tell none, nothing."""
    if reply.status != 200:
        return {}
    try:
        return msgspec.json.decode(reply.body, type=_Timed).timings_ms
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


def main() -> None:
    """Perform orders until stdin ends."""
    import uvloop  # noqa: PLC0415 - not on every system, and not needed to perform

    for line in sys.stdin:
        order, burst = map(Path, line.rstrip("\n").split("\t"))
        performed = uvloop.run(perform(msgspec.msgpack.decode(order.read_bytes(), type=Order)))
        burst.write_bytes(msgspec.msgpack.encode(performed))
        print("done", flush=True)


if __name__ == "__main__":
    main()
