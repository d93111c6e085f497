"""Results of `page` for people."""

from __future__ import annotations

import numpy as np
from rich.table import Table

from benchmarks.load_table import answers
from benchmarks.page import CLIENTS, PageResult, Turn


def page_table(result: PageResult) -> Table:
    """One line a way of using the page beside the API's clients."""
    table = Table(title=f"{CLIENTS} API clients beside the page (bundle {result.bundle}, {result.image_size} px); ms")
    for column in ("the browser", "photos/s", "API p50", "API p99", "clicks", "click p50", "click p95", "answers"):
        table.add_column(column, justify="left" if column in {"the browser", "answers"} else "right")
    for name, turns in result.turns.items():
        table.add_row(name, *_cells(turns))
    return table


def _cells(turns: list[Turn]) -> list[str]:
    bursts = [turn.burst for turn in turns]
    clicks = [ms for turn in turns for ms in turn.clicks_ms]
    statuses: dict[str, int] = {}
    for burst in bursts:
        for status, count in burst.statuses().items():
            statuses[status] = statuses.get(status, 0) + count
    return [
        f"{np.median([burst.rate_per_s for burst in bursts]):.1f}",
        *(f"{np.median([burst.quantile_ms(share) for burst in bursts]):.1f}" for share in (0.5, 0.99)),
        *([str(len(clicks)), *(f"{np.quantile(clicks, share):.0f}" for share in (0.5, 0.95))] if clicks else [""] * 3),
        answers(statuses),
    ]
