"""Advice for people: what was measured, what was reckoned, and what to paste."""

from __future__ import annotations

import math

from rich.table import Table

from benchmarks.advise import HEADROOM, Advice, Option, Target


def options_table(advice: Advice) -> Table:
    """One line an option."""
    table = Table(title=f"This host over HTTP, {advice.photos}")
    for column in ("bundle", "px", "threads", "p50 ms", "p95 ms", "most photos/s", "", "target"):
        table.add_column(column, justify="left" if column in {"bundle", "", "target"} else "right")
    reckoned = False
    for option in advice.options:
        if option.reckoned and not reckoned:
            table.add_section()
        reckoned = option.reckoned
        table.add_row(
            option.bundle or "none yet",
            str(option.image_size),
            str(option.threads),
            f"{option.p50_ms:.1f}",
            f"{option.p95_ms:.1f}",
            f"{option.photos_per_s:.0f}",
            _known_by(option),
            "met" if advice.target.met_by(option) else "",
        )
    return table


def kernels_table(advice: Advice) -> Table:
    """One line an arithmetic."""
    table = Table(title="Arithmetic, one thread")
    for column in ("precision", "kernel", "ms a photo", "taken here"):
        table.add_column(column)
    for each in advice.kernels:
        table.add_row(each.precision, each.kernel, f"{each.infer_ms:.2f}", "yes" if each.chosen else "")
    return table


def _known_by(option: Option) -> str:
    if option.reckoned:
        return "reckoned, not measured"
    return "measured" if option.trained else "measured, not trained for this size"


def wanted(target: Target) -> str:
    """The target in words."""
    parts = []
    if target.ms is not None:
        parts.append(f"95 of 100 answers to a lone client within {target.ms:g} ms")
    if target.rate is not None:
        parts.append(f"{target.rate:g} photos per second at {HEADROOM:.0%} load")
    return " and ".join(parts)


def recommendation(advice: Advice) -> str:
    """What to do, with the settings to paste."""
    best, target = advice.best, advice.target
    if best is None:
        return _shortfall(advice)
    chosen = next(kernel for kernel in advice.kernels if kernel.chosen)
    precision = f"{chosen.precision.upper()} ({chosen.kernel} kernel, which the appliance chooses by itself)"
    figures = f"p95 {best.p95_ms:.1f} ms, {best.photos_per_s:.0f} photos/s at most"
    threads = f"{best.threads} thread{'s' if best.threads > 1 else ''}"
    if not best.ready:
        return (
            f"no trained bundle that was measured gives {wanted(target)}; one of {best.image_size} px should "
            f"({figures}, {_known_by(best)}). Make it and measure again:\n\n  IMAGE_SIZE={best.image_size} make train\n"
        )
    return (
        f"for {wanted(target)}: {best.image_size} px, {threads}, {precision}; measured {figures}. "
        f"Settings to paste:\n\n  DANDELION_BUNDLE={best.path}\n  DANDELION_THREADS={best.threads}\n"
    )


def _shortfall(advice: Advice) -> str:
    target = advice.target
    text = f"this host cannot give {wanted(target)}, at none of these sizes"
    quickest = min(advice.options, key=lambda option: option.p95_ms)
    if target.ms is not None and quickest.p95_ms > target.ms:
        return f"{text}: the quickest, {quickest.image_size} px, takes {quickest.p95_ms:.1f} ms; take a faster CPU"
    most = max(option.photos_per_s for option in advice.options if not option.reckoned)
    hosts = math.ceil((target.rate or 0) / (HEADROOM * most))
    return f"{text}: share the load between {hosts} such hosts with the measured bundle"
