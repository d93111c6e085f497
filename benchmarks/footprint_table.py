"""Results of `footprint` for people."""

from __future__ import annotations

from rich.table import Table

from benchmarks.footprint import FootprintResult
from benchmarks.load_table import answers

LARGEST = 6


def requests_table(result: FootprintResult) -> Table:
    """What was sent and what came back."""
    table = Table(title=f"{result.requests} mixed requests (bundle {result.bundle}, {result.image_size} px)")
    table.add_column("kind")
    table.add_column("answers")
    for kind, statuses in result.statuses.items():
        table.add_row(kind, answers(statuses))
    return table


def disk_table(result: FootprintResult) -> Table:
    """The largest packages, and all."""
    table = Table(title="Installed, MB")
    table.add_column("package")
    table.add_column("MB", justify="right")
    sizes = sorted(result.installed_mb.items(), key=lambda item: -item[1])
    for name, size in sizes[:LARGEST]:
        table.add_row(name, f"{size:.1f}")
    table.add_row(f"{len(sizes) - LARGEST} others", f"{sum(size for _, size in sizes[LARGEST:]):.1f}", end_section=True)
    table.add_row(f"all {len(sizes)}", f"{result.installed_total_mb:.1f}")
    return table
