"""Cost per million photos, from a host's throughput and the price of its cores."""

from __future__ import annotations

from rich.table import Table

from benchmarks.peers.measure import PeersResult, Row

MILLION = 1_000_000
SECONDS_PER_HOUR = 3600


def per_million(photos_per_s: float, cores: int, price: float) -> float:
    """Price of a million photos on a host of `cores`, kept busy, where one core costs `price` an hour."""
    return MILLION / photos_per_s / SECONDS_PER_HOUR * cores * price


def cost_table(result: PeersResult, price: float, currency: str) -> Table:
    """The best setting of each server, the cheapest first."""
    table = Table(title=f"A million photos, at {price:g} {currency} for a core and hour, every core busy")
    table.add_column("")
    for column in ("px", currency, "core hours"):
        table.add_column(column, justify="right")
    cores = result.machine.cores
    priced = sorted(((_best_rate(rows), rows[0]) for rows in _servers(result)), key=lambda item: -item[0])
    for rate, row in priced:
        hours = per_million(rate, cores, 1.0)
        table.add_row(row.title, str(row.image_size), f"{hours * price:.2f}", f"{hours:.2f}")
    return table


def _servers(result: PeersResult) -> list[list[Row]]:
    servers: dict[tuple[str, int], list[Row]] = {}
    for row in result.rows:
        if row.turns:
            servers.setdefault((row.name, row.image_size), []).append(row)
    return [rows for rows in servers.values() if _best_rate(rows) > 0]


def _best_rate(rows: list[Row]) -> float:
    return max(row.rate(count).value for row in rows for count in row.turns[0].loaded)
