"""Progress bar on a terminal, a log line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LINE_EVERY_S = 10.0


class Advance(Protocol):
    """Call it as work gets done; `note` replaces the text behind the bar."""

    def __call__(self, done: int = 1, *, note: str | None = None) -> None: ...  # noqa: D102


@contextmanager
def progress(what: str, total: int, *, console: Console | None = None) -> Iterator[Advance]:
    """Show how far `what` has come, in `total` steps, on standard error; not for use by several threads at once."""
    console = console or Console(stderr=True)
    if console.is_terminal:
        with _bar(what, total, console) as advance:
            yield advance
    else:
        yield _lines(what, total, console)


@contextmanager
def _bar(what: str, total: int, console: Console) -> Iterator[Advance]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
               TextColumn("{task.fields[note]}"))  # fmt: skip
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(what, total=total, note="")

        def advance(done: int = 1, *, note: str | None = None) -> None:
            bar.advance(task, done)
            if note is not None:
                bar.update(task, note=note)

        yield advance


def _lines(what: str, total: int, console: Console) -> Advance:
    began = last = time.monotonic()
    done_so_far = 0

    def advance(done: int = 1, *, note: str | None = None) -> None:
        nonlocal done_so_far, last
        done_so_far += done
        now = time.monotonic()
        if now - last < LINE_EVERY_S and not (done_so_far == total and now - began > LINE_EVERY_S):
            return
        last = now
        left = (now - began) / max(done_so_far, 1) * (total - done_so_far)
        console.print(
            f"{what}: {done_so_far}/{total}, {left:.0f} s left{f', {note}' if note else ''}",
            highlight=False,
            soft_wrap=True,
        )

    return advance
