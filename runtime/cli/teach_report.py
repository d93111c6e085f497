"""The report of a taught model, in words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from runtime.teaching.report import ClassReport, Interval, Report

SHOWN = 10  # doubtful photos, and pairs that are confused


def say_report(report: Report, files: Mapping[str, Path]) -> None:
    """Print a report; `files` are those of its photos by SHA-256."""
    click.echo(
        f"accuracy {_percent(report.accuracy)} ({_interval(report.interval)}) on photos that it had not seen: "
        f"{report.photos} photos, {report.folds} folds"
    )
    click.echo(
        f"it answers {_percent(report.answered)} of such photos with certainty, {_percent(report.answered_precision)} "
        f"of them right; {_percent(report.called_unknown)} it calls none of these"
    )
    width = max(len(each.label) for each in report.classes)
    for each in report.classes:
        click.echo(f"  {_class(each, width)}")
    for pair in report.confused[:SHOWN]:
        click.echo(f"{pair.photos} of {pair.truth} {'is' if pair.photos == 1 else 'are'} taken for {pair.predicted}")
    for doubt in report.doubtful[:SHOWN]:
        instead = f"looks like {doubt.suggestion}" if doubt.suggestion else "looks like none of the classes"
        click.echo(f"look at {files.get(doubt.photo, doubt.photo)}: labelled {doubt.label}, {instead}")
    if (more := len(report.doubtful) - SHOWN) > 0:
        click.echo(f"and {more} more that do not look like their label")


def _class(one: ClassReport, width: int) -> str:
    more = "" if one.next_ten is None else f"; ten more photos: about {100 * one.next_ten:+.1f} points"
    photos = "1 photo" if one.photos == 1 else f"{one.photos} photos"
    return f"{one.label:<{width}}  {_percent(one.recall)} of {photos} recognised ({_interval(one.interval)}){more}"


def _interval(interval: Interval) -> str:
    low, high = interval
    return f"95 % interval {100 * low:.1f} to {100 * high:.1f}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
