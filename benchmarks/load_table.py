"""Results of `load` for people."""

from __future__ import annotations

from statistics import median

from rich.table import Table

from benchmarks.load import Overload, Point, Served


def load_table(served: Served, photos: str) -> Table:
    """One line a way of loading; in process first."""
    table = Table(title=f"Over HTTP (bundle {served.bundle}, {served.image_size} px; {photos}); ms")
    columns = ("", "photos/s", "95 % interval", "p50", "p95", "p99", "queue + HTTP", "decode", "infer", "server CPU",
               "generator", "late", "answers")  # fmt: skip
    for column in columns:
        table.add_column(column, justify="left" if column in {"", "answers"} else "right")
    for name, rounds_ms in served.in_process_ms.items():
        table.add_row(name, "", "", f"{median(rounds_ms):.2f}")
    table.add_section()
    for point in served.points:
        table.add_row(*_cells(point))
    if served.overload is not None:
        table.add_section()
        table.add_row(*_pressed(served.overload))
    return table


def _cells(point: Point) -> list[str]:
    decode, infer = (point.stages_ms.get(stage, float("nan")) for stage in ("decode", "infer"))
    return [
        point.name,
        f"{point.photos_per_s.value:.1f}",
        f"{point.photos_per_s.low:.1f} to {point.photos_per_s.high:.1f}",
        f"{point.p50_ms.value:.2f}",
        f"{point.p95_ms:.2f}",
        f"{point.p99_ms:.2f}",
        f"{point.p50_ms.value - decode - infer:.2f}",
        f"{decode:.2f}",
        f"{infer:.2f}",
        f"{point.server_cpu_ms:.2f}",
        f"{point.generator_cores:.2f} cores",
        f"{point.late_ms:.1f}" if point.arrivals_per_s else "",
        answers(point.statuses),
    ]


def _pressed(overload: Overload) -> list[str]:
    burst = overload.burst
    return [
        f"{overload.arrivals_per_s:.0f} arrivals/s ({overload.times:g} x)",
        f"{burst.rate_per_s:.1f}",
        "",
        *(f"{burst.quantile_ms(share):.2f}" for share in (0.5, 0.95, 0.99)),
        *[""] * 4,
        f"{burst.cpu_s / burst.seconds:.2f} cores",
        "",
        answers(burst.statuses()),
    ]


def answers(statuses: dict[str, int]) -> str:
    """How many of each status; 0 is a request without an answer."""
    return ", ".join(f"{count} x {status if status != '0' else 'none'}" for status, count in statuses.items())
