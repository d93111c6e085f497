"""Table of the peer comparison."""

from __future__ import annotations

from rich.table import Table

from benchmarks.peers.measure import PeersResult, Row
from benchmarks.statistics.samples import median_of


def peers_table(result: PeersResult) -> Table:
    """One line a server and setting."""
    table = Table(
        title=f"Photos per second (p50 / p99 ms) by clients; INT8 file of {result.bundle}; {result.photos}; "
        "setting: workers x photos at once x threads"
    )
    for column in ("", "px", "setting", *(f"{count} cl." for count in result.clients),
                   "CPU s / 1000", "MB", "start s", "disk MB"):  # fmt: skip
        table.add_column(column, justify="left" if column in {"", "setting"} else "right")
    name = result.rows[0].name if result.rows else ""
    for row in result.rows:
        if row.name != name:
            table.add_section()
            name = row.name
        table.add_row(*(_cells(row, result.clients) if row.turns else _refused(row)))
    return table


def reasons(result: PeersResult) -> list[str]:
    """Why some have no figures, a line each."""
    return [f"{row.title} {row.setting}: {row.reason}" for row in result.rows if row.reason]


def _cells(row: Row, clients: list[int]) -> list[str]:
    busiest = max(clients)
    return [
        row.title,
        str(row.image_size),
        row.setting,
        *(f"{row.rate(count).value:.0f} ({median_of(row.p50s(count)).value:.1f} / {row.p99_ms(count):.0f})"
          for count in clients),
        f"{median_of(row.cpu(16 if 16 in clients else busiest)).value:.2f}",
        f"{median_of(row.memory).value:.0f}",
        f"{median_of(row.starts).value:.2f}",
        f"{row.installed_mb:.0f}",
    ]  # fmt: skip


def _refused(row: Row) -> list[str]:
    return [row.title, str(row.image_size), row.setting, "see below"]
