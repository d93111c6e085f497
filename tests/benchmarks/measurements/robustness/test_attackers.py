from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from benchmarks.measurements.robustness.attackers import Hold, Press, attacking
from benchmarks.measurements.robustness.exchange import ATTACKER, HONEST, NO_ANSWER, exchange
from tests.support.waiting import wait_until

ANSWER = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nConnection: close\r\n\r\nlater"


class Server:
    """Answers every request with ANSWER or, if `silent`, with nothing; notes where connections are from."""

    def __init__(self, *, silent: bool) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = self._listening.getsockname()[1]
        self.silent = silent
        self.sources: list[str] = []
        self.received = bytearray()
        self.open: list[socket.socket] = []
        self.ended = 0

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, (source, _) = self._listening.accept()
                self.sources.append(source)
                self.open.append(connection)
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            while part := connection.recv(65536):
                self.received += part
                if not self.silent and b"\r\n\r\n" in self.received:
                    connection.sendall(ANSWER)
                    break
        self.ended += 1

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@contextmanager
def server(*, silent: bool) -> Iterator[Server]:
    running = Server(silent=silent)
    thread = threading.Thread(target=running.serve, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        running.close()
        thread.join()


def test_an_exchange_comes_from_its_own_address_and_reads_when_to_come_back() -> None:
    with server(silent=False) as running:
        answer = exchange(running.port, b"GET / HTTP/1.1\r\n\r\n", source=HONEST)
        assert (answer.status, answer.retry_after_s, answer.body) == (503, 7, b"later")
        assert running.sources == [HONEST]


def test_an_exchange_ends_when_it_is_told_to() -> None:
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    with server(silent=True) as running:
        assert exchange(running.port, b"GET", source=HONEST, timeout_s=600, stop=stop).status == NO_ANSWER
    assert exchange(running.port, b"GET", source=HONEST).status == NO_ANSWER


def test_attackers_that_press_end_with_their_block() -> None:
    with server(silent=False) as running:
        with attacking(running.port, [Press([b"GET / HTTP/1.1\r\n\r\n"])] * 2) as traffic:
            wait_until(lambda: traffic.answers[503] > 4)
        assert set(running.sources) == {ATTACKER}
        assert threading.active_count() < 10
        assert "503" in traffic.describe()


def test_connections_are_held_fed_opened_again_and_end_with_their_block() -> None:
    with server(silent=True) as running:
        with attacking(running.port, [Hold(5, [b"opening"], b"drip", 0.1)]) as traffic:
            wait_until(lambda: traffic.opened == 5 and running.received.count(b"drip") > 10)
            assert running.received.count(b"opening") == 5
            running.open[0].shutdown(socket.SHUT_RDWR)
            wait_until(lambda: traffic.opened == 6)
        wait_until(lambda: running.ended == 6)
        assert set(running.sources) == {ATTACKER}


def test_an_attack_on_nobody_ends_too() -> None:
    with server(silent=True) as running:
        port = running.port
    with attacking(port, [Hold(5), Press([b"GET / HTTP/1.1\r\n\r\n"])]) as traffic:
        wait_until(lambda: traffic.answers[NO_ANSWER] > 1)
    assert traffic.opened == 0
