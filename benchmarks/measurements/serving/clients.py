"""Compatibility run: real clients, and reverse proxies with curl behind them, against the appliance."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks.clients.cases import CASES, Case
from benchmarks.clients.catalogue import CANNOT, CLIENTS, PROXIES, REVERSE_PROXIES, Client, Found, NotRun, Proxy, run
from benchmarks.contenders.photos import THUMBNAIL, draw_jpeg
from benchmarks.contenders.servers import Server, appliance, serving
from benchmarks.host.machine import Machine, this_machine
from benchmarks.host.server_process import HOST, answers, free_ports, running
from runtime.bundle.manifest import Bundle
from runtime.cli.progress import progress

LARGE_BYTES = 30_000_000  # beyond the default limit of uploads
TIMEOUT_S = 120.0
START_S = 20.0
OK, IMPOSSIBLE = "yes", "-"


class Row(msgspec.Struct, frozen=True):
    """One client or proxy: what became of each case; `version` is None where it did not run, `note` says why."""

    name: str
    version: str | None
    results: dict[str, str]
    note: str = ""

    @property
    def failed(self) -> bool:
        """Whether a case went wrong."""
        return any(result not in {OK, IMPOSSIBLE} for result in self.results.values())


class ClientsResult(msgspec.Struct, frozen=True):
    """All rows, clients first."""

    machine: Machine
    bundle: str
    rows: list[Row]


def run_clients(bundle: Bundle, folder: Path, only: Sequence[str] = ()) -> ClientsResult:
    """Have each client that is here do each case; what may be installed without root goes into `folder`.

    `only` are names of clients and proxies; all if it is empty.
    """
    clients = [one for one in CLIENTS if not only or one.name in only]
    proxies = [one for one in REVERSE_PROXIES if not only or one.name in only]
    rows = []
    with (
        tempfile.TemporaryDirectory() as temporary,
        serving(appliance(bundle.path)) as server,
        progress("clients", len(clients) + len(proxies)) as advance,
    ):
        bodies = _Bodies(Path(temporary), bundle.manifest.name)
        for client in clients:
            rows.append(_row(client, folder, server, bodies))
            advance()
        for proxy in proxies:
            rows.append(_proxied(proxy, Path(temporary), server, bodies))
            advance()
    return ClientsResult(this_machine(), bundle.manifest.version, rows)


class _Bodies:
    """The files that clients send, and the model's name."""

    def __init__(self, folder: Path, model: str) -> None:
        self.model = model
        self._photo, self._large = folder / "photo.jpg", folder / "large.jpg"
        self._photo.write_bytes(draw_jpeg(THUMBNAIL, 0))
        self._large.write_bytes(bytes(LARGE_BYTES))

    def of(self, case: Case) -> Path:
        return self._large if case.name == "large" else self._photo


def _row(client: Client, folder: Path, server: Server, bodies: _Bodies) -> Row:
    try:
        found = client.find(folder)
    except NotRun as error:
        return Row(client.name, None, {}, str(error))
    return Row(client.name, found.version, _results(found, server.port, bodies))


def _proxied(proxy: Proxy, folder: Path, server: Server, bodies: _Bodies) -> Row:
    try:
        version = proxy.found
        curl = next(client for client in CLIENTS if client.name == "curl").find(folder)
    except NotRun as error:
        return Row(proxy.name, None, {}, str(error))
    with proxying(proxy, server.port) as port:
        return Row(proxy.name, version, _results(curl, port, bodies), "curl behind it")


@contextmanager
def proxying(proxy: Proxy, upstream: int) -> Iterator[int]:
    """Run a reverse proxy in front of the port `upstream`; yields its port. Raises ServerError if it does not start."""
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)  # its workers may be another user's
        config = folder / proxy.config
        text = (PROXIES / proxy.config).read_text()
        for name, value in (("port", port), ("upstream", upstream), ("folder", folder)):
            text = text.replace(f"{{{name}}}", str(value))
        config.write_text(text)
        command = [part.replace("{config}", str(config)) for part in proxy.command]
        ready: Callable[[], int | None] = lambda: port if answers(port, "/health/live") else None  # noqa: E731
        with running(proxy.name, command, folder / "log", ready, start_s=START_S):
            yield port


def _results(found: Found, port: int, bodies: _Bodies) -> dict[str, str]:
    url = f"http://{HOST}:{port}/predict"
    return {case.name: _judged(case, *run(found, case.name, url, bodies.of(case), bodies.model, TIMEOUT_S))
            for case in CASES}  # fmt: skip


def _judged(case: Case, status: int, body: str) -> str:
    if status == CANNOT:
        return IMPOSSIBLE
    if status == case.status and case.holds in body:
        return OK
    return f"{status or 'no answer'}: {body.strip().splitlines()[-1][:80] if body.strip() else 'no body'}"


def markdown_table(result: ClientsResult) -> str:
    """The rows as a table in Markdown, for `docs/clients.md`."""
    titles = ["client or proxy", "version", *(case.title for case in CASES)]
    lines = [titles, ["---"] * len(titles)]
    for row in result.rows:
        name = f"{row.name} ({row.note})" if row.note and row.version else row.name
        version = row.version or f"not run: {row.note}"
        lines.append([name, version, *(row.results.get(case.name, "") for case in CASES)])
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)
