"""SVG charts in the page's own colours, each with a text alternative for screen readers."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT = 320, 96


def line(values: Sequence[float | None], title: str, *, top: float | None = None) -> str:
    """A line with an area under it; None leaves a gap. The oldest value is on the left."""
    known = [value for value in values if value is not None]
    highest = top or max([*known, 1e-9]) * 1.15
    step = WIDTH / max(1, len(values) - 1)
    parts, run = [], list[str]()
    for place, value in enumerate([*values, None]):
        if value is not None:
            run.append(f"{place * step:.1f},{HEIGHT - 4 - (HEIGHT - 12) * min(1.0, value / highest):.1f}")
            continue
        if len(run) > 1:
            first, last = run[0].split(",")[0], run[-1].split(",")[0]
            parts.append(f'<polygon class="area" points="{first},{HEIGHT} {" ".join(run)} {last},{HEIGHT}"/>')
            parts.append(f'<polyline class="line" points="{" ".join(run)}"/>')
        run = []
    return _svg("".join(parts), title, "line-chart", WIDTH, HEIGHT)


def strip(values: Sequence[bool | None], title: str) -> str:
    """One bar for each sample: up, unreachable, or not sampled."""
    step = WIDTH / max(1, len(values))
    kinds = {True: "up", False: "away", None: "unwatched"}
    width = max(1.0, step - 0.8)
    bars = "".join(
        f'<rect class="{kinds[value]}" x="{place * step:.2f}" y="0" width="{width:.2f}" height="24" rx="1"/>'
        for place, value in enumerate(values)
    )
    return _svg(bars, title, "strip", WIDTH, 24)


def bars(rows: Sequence[tuple[str, float, str]], *, highest: float | None = None, class_: str = "") -> str:
    """Named horizontal bars as a list: name, value, and the value in words."""
    top = highest or max([value for _, value, _ in rows] + [1e-9])
    items = "".join(
        f'<li><span class="bar-name" dir="auto">{escape(name)}</span><span class="bar" aria-hidden="true">'
        f'<i style="width:{100 * min(1.0, value / top):.1f}%"></i></span><b>{escape(words)}</b></li>'
        for name, value, words in rows
    )
    return f'<ul class="bars {class_}">{items}</ul>'


def columns(rows: Sequence[tuple[str, float, str]], title: str) -> str:
    """Named upright bars with their values on top."""
    width, height, foot = 480, 220, 34
    top = max([value for _, value, _ in rows] + [1e-9])
    step = width / max(1, len(rows))
    parts = []
    for place, (name, value, words) in enumerate(rows):
        tall = (height - foot - 30) * value / top
        x, y = place * step + step * 0.2, height - foot - tall
        middle = place * step + step / 2
        parts.append(
            f'<rect class="column" x="{x:.1f}" y="{y:.1f}" width="{step * 0.6:.1f}" height="{tall:.1f}" rx="4"/>'
            f'<text class="value" x="{middle:.1f}" y="{y - 8:.1f}">{escape(words)}</text>'
            f'<text class="name" x="{middle:.1f}" y="{height - 10}">{escape(name)}</text>'
        )
    return _svg("".join(parts), title, "columns", width, height, fit=True)


def _svg(inside: str, title: str, class_: str, width: int, height: int, *, fit: bool = False) -> str:
    fitting = "" if fit else ' preserveAspectRatio="none"'
    return (
        f'<svg class="{class_}" viewBox="0 0 {width} {height}"{fitting} role="img" aria-label="{escape(title)}">'
        f"{inside}</svg>"
    )
