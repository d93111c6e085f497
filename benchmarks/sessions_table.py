"""Results of `sessions` for people."""

from __future__ import annotations

from rich.table import Table

from benchmarks.sessions import PRODUCT, SessionsResult


def sessions_table(result: SessionsResult) -> Table:
    """One line a contender and number of threads."""
    table = Table(
        title=f"Bare sessions (bundle {result.bundle}, {result.image_size} px, {result.macs / 1e9:.2f} billion "
        "multiply-adds a photo)"
    )
    for column in ("threads", "", "median, ms", "95 % interval", "billion/s", "of the peak"):
        table.add_column(column, justify="left" if not column else "right")
    for threads in sorted({row.threads for row in result.rows}):
        rows = [row for row in result.rows if row.threads == threads]
        peak = max(row.gmacs for row in rows if row.name.startswith(PRODUCT))
        for row in rows:
            table.add_row(
                str(threads),
                row.name,
                f"{row.median_ms.value:.2f}",
                f"{row.median_ms.low:.2f} to {row.median_ms.high:.2f}",
                f"{row.gmacs:.0f}",
                f"{row.gmacs / peak:.2f}",
                end_section=row is rows[-1],
            )
    return table
