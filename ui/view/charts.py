"""SVG charts in the page's own colours, each with a text alternative for screen readers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import NamedTuple

from ui.view.icons import NONE

WIDTH, HEIGHT = 320, 96


class Axis(NamedTuple):
    """An axis' ends and middle in words: of values from the top down, of time from left to right."""

    first: str
    middle: str
    last: str


class Bar(NamedTuple):
    """A horizontal bar: its name, its value, and the value in words; `is_none` marks that of "none of these"."""

    name: str
    value: float
    words: str
    is_none: bool = False


def nice_top(highest: float) -> float:
    """The end of an axis that holds `highest`: 1, 2, 4, 5 or 8 times a power of ten: half of it is round, too."""
    if highest <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(highest))
    return next(step * power for step in (1, 2, 4, 5, 8, 10) if step * power >= highest * (1 - 1e-9))


def line(
    values: Sequence[float | None], title: str, *, number: Callable[[float], str], times: Axis, least_top: float = 0.0
) -> str:
    """A line over time with an area under it, and labelled axes; None leaves a gap. The oldest value is on the left.

    The axis of values ends at a round number above all of them, at least at `least_top`; `number` words it.
    """
    known = [value for value in values if value is not None]
    top = nice_top(max([*known, least_top]))
    step = WIDTH / max(1, len(values) - 1)
    parts = [f'<path class="grid" d="M0 {y}H{WIDTH}"/>' for y in (0, HEIGHT / 2)]
    run = list[str]()
    for place, value in enumerate([*values, None]):
        if value is not None:
            run.append(f"{place * step:.1f},{HEIGHT * (1 - min(1.0, value / top)):.1f}")
            continue
        if len(run) > 1:
            first, last = run[0].split(",")[0], run[-1].split(",")[0]
            parts.append(f'<polygon class="area" points="{first},{HEIGHT} {" ".join(run)} {last},{HEIGHT}"/>')
            parts.append(f'<polyline class="line" points="{" ".join(run)}"/>')
        run = []
    chart = _svg("".join(parts), title, "line-chart", WIDTH, HEIGHT)
    return _framed(chart, times, Axis(number(top), number(top / 2), number(0)))


def _framed(chart: str, times: Axis, values: Axis | None = None) -> str:
    """A chart with words beside it and below it: text inside would be stretched with the drawing."""

    def words(class_: str, axis: Axis) -> str:
        return f'<span class="{class_}" aria-hidden="true">{"".join(f"<i>{escape(each)}</i>" for each in axis)}</span>'

    return f'<div class="chart">{words("values", values) if values else ""}{chart}{words("times", times)}</div>'


def strip(values: Sequence[bool | None], title: str, times: Axis) -> str:
    """One bar for each sample: up, unreachable, or not sampled; with an axis of time."""
    step = WIDTH / max(1, len(values))
    kinds = {True: "up", False: "away", None: "unwatched"}
    width = max(1.0, step - 0.8)
    bars = "".join(
        f'<rect class="{kinds[value]}" x="{place * step:.2f}" y="0" width="{width:.2f}" height="24" rx="1"/>'
        for place, value in enumerate(values)
    )
    return _framed(_svg(bars, title, "strip", WIDTH, 24), times)


def bars(rows: Sequence[Bar], *, highest: float | None = None, class_: str = "") -> str:
    """Named horizontal bars as a list."""
    top = highest or max([row.value for row in rows] + [1e-9])
    return f'<ul class="bars {class_}">{"".join(_bar(row, row.value / top) for row in rows)}</ul>'


def _bar(row: Bar, share: float) -> str:
    kind, icon = ("unknown", NONE) if row.is_none else ("", "")
    return (
        f'<li class="{kind}"><span class="bar-name" dir="auto">{icon}{escape(row.name)}</span>'
        f'<span class="bar" aria-hidden="true">'
        f'<i style="width:{100 * min(1.0, share):.1f}%"></i></span><b>{escape(row.words)}</b></li>'
    )


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
