"""HTML report of all results, with its plots inside."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jinja2
import msgspec
from rich.table import Table

from benchmarks.host.interference import Contention, describe_contention
from benchmarks.host.machine import Machine, describe
from benchmarks.measurements.inference.latency import LatencyResult, latency_table
from benchmarks.measurements.inference.sessions import SessionsResult, sessions_table
from benchmarks.measurements.instructions.figures import InstructionsResult, instructions_table
from benchmarks.measurements.serving.advise import Advice, options_table, recommendation
from benchmarks.measurements.serving.footprint import FootprintResult, disk_table, requests_table
from benchmarks.measurements.serving.footprint_kernels import kernels_table
from benchmarks.measurements.serving.load import LoadResult, load_table
from benchmarks.measurements.serving.page import PageResult, page_table
from benchmarks.measurements.training.training_time import TrainingResult, training_verdict
from benchmarks.peers.measure import PeersResult
from benchmarks.peers.table import peers_table, reasons
from benchmarks.peers.verdicts import peer_goals
from benchmarks.reporting.cost import cost_table
from benchmarks.reporting.plots import footprint_plot, latency_plot, load_plot, page_plot, peers_plot
from benchmarks.statistics.goals import Goal, goals_table
from runtime.errors import Refusal

TEMPLATE = "report.html.j2"
KNOWN = {f"{name}.json" for name in ("latency", "load", "peers", "sessions", "instructions",
                                     "footprint", "page", "training", "advise")}  # fmt: skip
LONGEST, MOST_ROWS = 80, 50  # characters and rows in the tables of a result that has no section of its own

R = TypeVar("R", bound=msgspec.Struct)


class HtmlTable(NamedTuple):
    """A table of the terminal, for the page."""

    title: str
    columns: list[str]
    rows: list[list[str]]


class Section(NamedTuple):
    """One result: what was measured on which machine, tables, plots as data URIs, remarks."""

    title: str
    measured: str
    tables: list[HtmlTable]
    plots: list[str]
    remarks: list[str]


def write_report(folder: Path, sweep: Path, file: Path, *, price: float, currency: str) -> list[str]:
    """Write the page from the JSON files in `folder`, and from the `sweep` of `python -m export sweep` if it is there.

    `price` is that of one core for an hour. Returns the titles of its sections. Raises Refusal where there is nothing
    to report, or a file is of another release.
    """
    sections = [
        section
        for section in (
            _read(folder / "latency.json", LatencyResult, _latency),
            _read(folder / "load.json", LoadResult, _load),
            _read(folder / "peers.json", PeersResult, lambda result: _peers(result, price, currency)),
            _read(folder / "sessions.json", SessionsResult, _sessions),
            _read(folder / "instructions.json", InstructionsResult, _instructions),
            _read(folder / "footprint.json", FootprintResult, _footprint),
            _read(folder / "page.json", PageResult, _page),
            _read(folder / "training.json", TrainingResult, _training),
            _read(folder / "advise.json", Advice, _advice),
            _front(sweep),
        )
        if section is not None
    ]
    sections += [_other(each) for each in sorted(folder.glob("*.json")) if each.name not in KNOWN]
    if not sections:
        raise Refusal(f"{folder}: holds no results; run `python -m benchmarks latency` or `make bench` first")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    file.write_text(environment.get_template(TEMPLATE).render(sections=sections))
    return [section.title for section in sections]


def _read(file: Path, kind: type[R], make: Callable[[R], Section]) -> Section | None:
    try:
        return make(msgspec.json.decode(file.read_bytes(), type=kind))
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal(f"{file}: {error}; it is of another release: measure again, or remove it") from error


def _latency(result: LatencyResult) -> Section:
    plot = _drawn(lambda file: latency_plot(result, file))
    measured = _measured(result.machine, result.neighbours)
    return Section("JPEG bytes to label, in process", measured, _tables(latency_table(result)), [plot], [])


def _load(result: LoadResult) -> Section:
    tables = []
    for served in result.served:
        tables += [load_table(served, result.photos), _goals(served.goals, result.neighbours)]
    plot = _drawn(lambda file: load_plot(result, file))
    return Section("Under load, over HTTP", _measured(result.machine, result.neighbours), _tables(*tables), [plot], [])


def _peers(result: PeersResult, price: float, currency: str) -> Section:
    tables = _tables(
        peers_table(result), _goals(peer_goals(result), result.neighbours), cost_table(result, price, currency)
    )
    plots = [_drawn(lambda file: peers_plot(result, file))] if any(row.turns for row in result.rows) else []
    measured = _measured(result.machine, result.neighbours)
    return Section("Side by side with other servers", measured, tables, plots, reasons(result))


def _sessions(result: SessionsResult) -> Section:
    tables = _tables(sessions_table(result), _goals(result.goals, result.neighbours))
    return Section("The bare session", _measured(result.machine, result.neighbours), tables, [], [])


def _instructions(result: InstructionsResult) -> Section:
    tables = _tables(instructions_table(result), _goals(result.goals, result.neighbours))
    remark = f"Counts, not times, and of no board. Photos: {', '.join(result.photos)}; {result.qemu}"
    return Section("Instructions on emulated processors", "", tables, [], [remark])


def _footprint(result: FootprintResult) -> Section:
    by_kernel = [kernels_table(result.kernels)] if result.kernels else []
    tables = _tables(_goals(result.goals, result.neighbours), requests_table(result), disk_table(result), *by_kernel)
    plot = _drawn(lambda file: footprint_plot(result, file))
    return Section("Footprint", _measured(result.machine, result.neighbours), tables, [plot], [])


def _page(result: PageResult) -> Section:
    tables = _tables(_goals(result.goals, result.neighbours), page_table(result))
    plot = _drawn(lambda file: page_plot(result, file))
    return Section("Page and API in one process", _measured(result.machine, result.neighbours), tables, [plot], [])


def _training(result: TrainingResult) -> Section:
    runs = ", ".join(f"{ours:.0f} s against {plain:.0f} s" for ours, plain in
                     zip(result.ours_s, result.plain_s, strict=True))  # fmt: skip
    remarks = [f"{result.epochs} epochs at {result.image_size} px, {result.photos} {result.source}: {runs}",
               training_verdict(result)]  # fmt: skip
    return Section("Training, against a plain loop", _measured(result.machine, result.neighbours), [], [], remarks)


def _advice(advice: Advice) -> Section:
    measured = _measured(advice.machine, advice.neighbours)
    remarks = [recommendation(advice).split(" Settings to paste")[0]]
    return Section("Advice for this host", measured, _tables(options_table(advice)), [], remarks)


def _front(sweep: Path) -> Section | None:
    """The plot that the sweep drew beside its figures."""
    plot = sweep.with_name("front.png")
    if not sweep.exists() or not plot.exists():
        return None
    remark = "Each accuracy is cross-validated; printed by `python -m export sweep`."
    return Section("Accuracy and latency by input size and precision", "", [], [_data_uri(plot)], [remark])


def _other(file: Path) -> Section:
    """A result without a section of its own: its plain values, and its lists of records as tables."""
    try:
        result = msgspec.json.decode(file.read_bytes())
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal(f"{file}: {error}; measure again, or remove it") from error
    fields = result if isinstance(result, dict) else {}
    plain = [[name, str(value)] for name, value in fields.items() if not isinstance(value, dict | list)]
    tables = [HtmlTable("", ["", ""], plain)] if plain else []
    tables += [_records(name, value) for name, value in fields.items() if _is_records(value)]
    plot = file.with_suffix(".png")
    return Section(file.stem, _machine_of(fields), tables, [_data_uri(plot)] if plot.exists() else [], [])


def _is_records(value: object) -> bool:
    """Whether it is a table in itself: records by name, or a list of a few."""
    rows = list(value.values()) if isinstance(value, dict) else value
    return isinstance(rows, list) and 0 < len(rows) <= MOST_ROWS and all(isinstance(row, dict) for row in rows)


def _records(name: str, value: Any) -> HtmlTable:
    named = value if isinstance(value, dict) else {str(number): row for number, row in enumerate(value, 1)}
    columns = list(dict.fromkeys(column for row in named.values() for column in row))
    rows = [[key, *(str(row.get(column, ""))[:LONGEST] for column in columns)] for key, row in named.items()]
    return HtmlTable(name, ["", *columns], rows)


def _machine_of(fields: dict[str, Any]) -> str:
    """What the result says of its machine and of who else used it; nothing where it is no such record."""
    try:
        machine = describe(msgspec.convert(fields.get("machine"), Machine))
        neighbours = fields.get("neighbours")
        return f"{machine}; {describe_contention(msgspec.convert(neighbours, Contention))}" if neighbours else machine
    except msgspec.ValidationError:
        return ""


def _goals(goals: list[Goal], neighbours: Contention) -> Table:
    return goals_table("Figures to reach", goals, neighbours)


def _measured(machine: Machine, neighbours: Contention) -> str:
    return f"{describe(machine)}; {describe_contention(neighbours)}"


def _tables(*tables: Table) -> list[HtmlTable]:
    return [
        HtmlTable(
            str(table.title or ""),
            [str(column.header) for column in table.columns],
            [list(row) for row in zip(*(map(str, column.cells) for column in table.columns), strict=True)],
        )
        for table in tables
    ]


def _drawn(draw: Callable[[Path], None]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "plot.png"
        draw(file)
        return _data_uri(file)


def _data_uri(file: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(file.read_bytes()).decode()
