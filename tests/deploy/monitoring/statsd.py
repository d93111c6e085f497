"""What the StatsD exporter does with Airflow's metrics, as far as our mapping needs it: it comes in no package.

As a program it stands in for the exporter's image, with its option and its ports.
"""

from __future__ import annotations

import re
import socket
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Series = tuple[str, tuple[tuple[str, str], ...]]


class Exporter:
    """Takes lines as Airflow's StatsD client sends them, and shows them under the names that the mapping gives."""

    def __init__(self, mapping: dict[str, Any], address: str) -> None:
        self.address = address
        self._mappings = mapping["mappings"]
        self._buckets = mapping["defaults"]["histogram_options"]["buckets"]
        self._values: dict[Series, float] = defaultdict(float)

    def send(self, lines: Sequence[str]) -> None:
        for line in lines:
            found = re.fullmatch(r"([^,:]+)((?:,[^:]+)?):([^|]+)\|(c|g|ms)", line)
            assert found, line
            name = self._name(found[1])
            labels = tuple(sorted((k, v) for k, _, v in (tag.partition("=") for tag in found[2].split(",") if tag)))
            if name:
                self._take(name, labels, float(found[3]), found[4])

    def names(self) -> set[str]:
        return {name for name, _ in self._values}

    def text(self) -> str:
        lines = []
        for (name, labels), value in sorted(self._values.copy().items()):
            inside = ",".join(f'{key}="{text}"' for key, text in labels)
            lines.append(f"{name}{{{inside}}} {value}\n")
        return "".join(lines)

    def _name(self, stat: str) -> str | None:
        for rule in self._mappings:
            matches = re.search(rule["match"], stat) if rule.get("match_type") == "regex" else rule["match"] == stat
            if matches:
                return None if rule.get("action") == "drop" else str(rule["name"])
        return stat.replace(".", "_")

    def _take(self, name: str, labels: tuple[tuple[str, str], ...], value: float, kind: str) -> None:
        if kind == "c":
            self._values[name, labels] += value
        elif kind == "g":
            self._values[name, labels] = value
        else:
            seconds = value / 1000
            self._values[name + "_count", labels] += 1
            self._values[name + "_sum", labels] += seconds
            for bucket in (*self._buckets, float("inf")):
                at = "+Inf" if bucket == float("inf") else str(bucket)
                self._values[name + "_bucket", (*labels, ("le", at))] += seconds <= bucket


@contextmanager
def exposition(
    mapping: dict[str, Any], lines: Sequence[str], address: tuple[str, int] = ("127.0.0.1", 0)
) -> Iterator[Exporter]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(exporter.text().encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(address, Handler)
    exporter = Exporter(mapping, f"{address[0]}:{server.server_address[1]}")
    exporter.send(lines)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield exporter
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def main() -> None:
    """`--statsd.mapping-config=FILE`: take packets on 9125, show what came on 9102."""
    import yaml

    mapping = yaml.safe_load(Path(sys.argv[1].partition("=")[2]).read_text())
    with exposition(mapping, [], ("", 9102)) as exporter, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as packets:
        packets.bind(("", 9125))
        while True:
            for line in packets.recv(65536).decode().splitlines():
                exporter.send([line])


if __name__ == "__main__":
    main()
