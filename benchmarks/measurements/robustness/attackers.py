"""Attackers: threads and sockets on one loopback address, which end with their block.

Two ways to attack: to hold connections that are fed slowly or not at all, and to press with whole requests, one after
the other (a closed loop).
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from benchmarks.host.server_process import HOST
from benchmarks.measurements.robustness.exchange import ATTACKER, NO_ANSWER, exchange

CONNECT_S = 1.0
HELD_TICK_S = 0.1
JOIN_S = 10.0
_ENDED = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR


@dataclass
class Traffic:
    """What the attackers did: connections opened, and answers to whole requests by status. Thread-safe."""

    opened: int = 0
    answers: Counter[int] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self) -> None:
        """One more connection."""
        with self._lock:
            self.opened += 1

    def answer(self, status: int) -> None:
        """One more answer."""
        with self._lock:
            self.answers[status] += 1

    def describe(self) -> str:
        """In a few words."""
        statuses = ", ".join(f"{count} x {status or 'none'}" for status, count in sorted(self.answers.items()))
        return statuses or f"{self.opened} connections"


@dataclass(frozen=True)
class Target:
    """What the attackers of one attack share."""

    port: int
    stop: threading.Event
    traffic: Traffic


Attacker = Callable[[Target], None]


@contextmanager
def attacking(port: int, attackers: Sequence[Attacker]) -> Iterator[Traffic]:
    """Each attacker in a thread of its own, until the block ends. Raises RuntimeError for one that does not end."""
    target = Target(port, threading.Event(), Traffic())
    threads = [threading.Thread(target=attacker, args=(target,), daemon=True) for attacker in attackers]
    for thread in threads:
        thread.start()
    try:
        yield target.traffic
    finally:
        target.stop.set()
        for thread in threads:
            thread.join(JOIN_S)
    if any(thread.is_alive() for thread in threads):
        raise RuntimeError("an attacker does not end")


@dataclass(frozen=True)
class Press:
    """A closed loop: sends `requests` round and round, each after the answer to the one before, not more often than
    every `every_s` seconds."""

    requests: Sequence[bytes]
    every_s: float = 0.01

    def __call__(self, target: Target) -> None:
        """Attack until told to stop."""
        number = 0
        while not target.stop.is_set():
            began = time.monotonic()
            request = self.requests[number % len(self.requests)]
            status = exchange(target.port, request, source=ATTACKER, timeout_s=600, stop=target.stop).status
            if status != NO_ANSWER or not target.stop.is_set():
                target.traffic.answer(status)
            number += 1
            target.stop.wait(max(0.001, self.every_s - (time.monotonic() - began)))


@dataclass(frozen=True)
class Hold:
    """Keeps `count` connections: each sends an opening of `openings`, and then `drip` every `every_s` seconds.

    One that ends is opened again, at most `opens_per_s` a second. Nothing is ever read.
    """

    count: int
    openings: Sequence[bytes] = (b"",)
    drip: bytes = b""
    every_s: float = 1.0
    opens_per_s: float = 500.0
    receive_buffer: int | None = None

    def __call__(self, target: Target) -> None:
        """Attack until told to stop."""
        held: dict[int, socket.socket] = {}
        poll, due = select.poll(), time.monotonic() + self.every_s
        try:
            while not target.stop.is_set():
                self._fill(held, poll, target)
                if self.drip and time.monotonic() >= due:
                    due = time.monotonic() + self.every_s
                    _drip(held, self.drip)
                _forget_ended(held, poll)
        finally:
            for connection in held.values():
                connection.close()

    def _fill(self, held: dict[int, socket.socket], poll: select.poll, target: Target) -> None:
        most = max(1, int(self.opens_per_s * HELD_TICK_S))
        for number in range(min(most, self.count - len(held))):
            if target.stop.is_set():
                return
            connection = connect(target.port, self.receive_buffer)
            if connection is None:
                return
            held[connection.fileno()] = connection
            poll.register(connection, _ENDED)
            target.traffic.open()
            send(connection, self.openings[(len(held) + number) % len(self.openings)])


def connect(port: int, receive_buffer: int | None = None) -> socket.socket | None:
    """An attacker's connection that waits for nothing; None where there is none to be had."""
    connection = socket.socket()
    try:
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(CONNECT_S)
        connection.bind((ATTACKER, 0))
        connection.connect((HOST, port))
    except OSError:
        connection.close()
        return None
    connection.setblocking(False)
    return connection


def send(connection: socket.socket, data: bytes) -> None:
    """Send what goes at once, and no more."""
    if data:
        with suppress(OSError):
            connection.send(data)


def _drip(held: dict[int, socket.socket], drip: bytes) -> None:
    for connection in held.values():
        send(connection, drip)


def _forget_ended(held: dict[int, socket.socket], poll: select.poll) -> None:
    """Wait a moment, and close those that the other side has closed."""
    began = time.monotonic()
    for descriptor, _ in poll.poll(1000 * HELD_TICK_S):
        poll.unregister(descriptor)
        held.pop(descriptor).close()
    time.sleep(max(0.0, HELD_TICK_S - (time.monotonic() - began)))
