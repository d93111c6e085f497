"""The load generator, seen from the benchmark: orders go to its process, bursts come back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks.plans import Burst, Order
from benchmarks.sender import LENGTH

Send = Callable[[Order], Burst]

ENDING_S = 10


@contextmanager
def generator() -> Iterator[Send]:
    """A load generator in a process of its own, which ends with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.sender"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    )
    assert process.stdin is not None  # noqa: S101 - both are pipes
    assert process.stdout is not None  # noqa: S101
    orders, bursts = process.stdin, process.stdout

    def send(order: Order) -> Burst:
        data = msgspec.msgpack.encode(order)
        try:
            orders.write(LENGTH.pack(len(data)) + data)
            orders.flush()
        except BrokenPipeError as error:
            raise RuntimeError("the load generator ended; its last words are above") from error
        head = bursts.read(LENGTH.size)
        if len(head) < LENGTH.size:
            raise RuntimeError("the load generator ended; its last words are above")
        return msgspec.msgpack.decode(bursts.read(*LENGTH.unpack(head)), type=Burst)

    try:
        yield send
    finally:
        orders.close()
        bursts.close()
        try:
            process.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
