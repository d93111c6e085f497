"""Client of the load generator process: sends orders, receives bursts."""

from __future__ import annotations

import select
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks.load_generator.plans import Burst, Order

Send = Callable[[Order], Burst]

ENDING_S = 10
SPARE_S = 60  # to make a burst of its answers, on a host that is busy with others


@contextmanager
def generator() -> Iterator[Send]:
    """A load generator in a process of its own, which ends with the block.

    Orders and bursts are files: what goes through the pipes is a line for each, so neither side waits for the other to
    empty one. To send raises RuntimeError where the process has ended, or says nothing long after its burst.
    """
    with tempfile.TemporaryDirectory() as folder, _process() as process:
        order_file, burst_file = Path(folder) / "order", Path(folder) / "burst"

        def send(order: Order) -> Burst:
            order_file.write_bytes(msgspec.msgpack.encode(order))
            _tell(process, f"{order_file}\t{burst_file}")
            _wait(process, order.plan.seconds + order.timeout_s + SPARE_S)
            return msgspec.msgpack.decode(burst_file.read_bytes(), type=Burst)

        yield send


@contextmanager
def _process() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load_generator.sender"],
        bufsize=0,  # nothing is left over to be written when its process has ended
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    with process:
        try:
            yield process
            process.communicate(timeout=ENDING_S)  # its orders have ended, so does it
        except subprocess.TimeoutExpired:
            pass
        finally:
            process.kill()


def _tell(process: subprocess.Popen[bytes], line: str) -> None:
    assert process.stdin is not None  # noqa: S101 - a pipe
    try:
        process.stdin.write(f"{line}\n".encode())
    except BrokenPipeError as error:
        raise RuntimeError("the load generator ended; its last words are above") from error


def _wait(process: subprocess.Popen[bytes], most_s: float) -> None:
    assert process.stdout is not None  # noqa: S101 - a pipe
    ready, _, _ = select.select([process.stdout], [], [], most_s)
    if not ready:
        raise RuntimeError(f"the load generator has not answered for {most_s:.0f} s; is this host busy with others?")
    if not process.stdout.readline():
        raise RuntimeError("the load generator ended; its last words are above")
