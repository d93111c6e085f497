"""Giants: the largest photo of each kind, many at once; a `Retry-After` must come true."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import msgspec
from rich.table import Table

from benchmarks.contenders.confined import Confined, Starter
from benchmarks.load_generator.plans import describe_statuses
from benchmarks.measurements.robustness.exchange import HONEST, Answer, exchange
from benchmarks.measurements.robustness.giant_photos import GIANTS, giant_request, largest_photo
from benchmarks.statistics.goals import Goal, counted
from runtime.cli.progress import progress

AT_ONCE = 16
FACTOR = 2.0  # by which the time of admission may miss what Retry-After promised
GIVEN_UP = 4.0  # times the promise; so late is false anyway
LEAST_PAUSE_S = 0.5
ANSWER_S = 300.0
MIXED = "all kinds"
_OK, _OVERLOADED = 200, 503


class Promise(msgspec.Struct, frozen=True):
    """A 503: what `Retry-After` said, and when the photo was let in, s after the refusal (None: not within GIVEN_UP).

    An `early` one was sent again and again from the first moment, any other when its time was up, and then again.
    """

    promised_s: float
    admitted_s: float | None
    early: bool

    @property
    def kept(self) -> bool:
        """Within FACTOR of the promise; a whole second is the least that can be promised."""
        if self.admitted_s is None or self.admitted_s > FACTOR * self.promised_s:
            return False
        return not self.early or self.promised_s <= 1 or self.admitted_s >= self.promised_s / FACTOR


class Round(msgspec.Struct, frozen=True):
    """One kind, or all: the first answers by status (0: none), promises, deaths, the highest resident memory."""

    kind: str
    largest_bytes: int
    statuses: dict[str, int]
    unexplained: int
    promises: list[Promise]
    deaths: int
    peak_mb: float


class GiantsResult(msgspec.Struct, frozen=True):
    """All kinds, `at_once` photos each; `sizing_deaths` happened while one photo at a time was sent."""

    at_once: int
    sizing_deaths: int
    rounds: list[Round]


def find_giants(start: Starter, kinds: Sequence[str] = tuple(GIANTS)) -> tuple[dict[str, bytes], int]:
    """The largest photos that are accepted, each of an appliance of its own; and how many of these died of it."""
    found: dict[str, bytes] = {}
    deaths = 0
    with progress("largest photos", len(kinds)) as advance:
        for kind in kinds:
            with start() as confined:
                found[kind] = largest_photo(confined.appliance.port, kind)
                deaths += confined.kills > 0
            advance(note=kind)
    return found, deaths


def measure_giants(start: Starter, photos: Mapping[str, bytes], sizing_deaths: int, at_once: int) -> GiantsResult:
    """Send each kind `at_once` times at once, then all kinds among one another; each time to a new appliance."""
    rounds = {kind: [photo] for kind, photo in photos.items()} | {MIXED: list(photos.values())}
    results = []
    with progress(f"{at_once} giants at once", len(rounds)) as advance:
        for kind, several in rounds.items():
            with start() as confined:
                sent = _at_once(confined.appliance.port, several, at_once)
                results.append(_round(kind, several, sent, confined))
            advance(note=kind)
    return GiantsResult(at_once, sizing_deaths, results)


class _Client(NamedTuple):
    first: Answer
    promise: Promise | None


def _at_once(port: int, photos: Sequence[bytes], count: int) -> list[_Client]:
    refused = itertools.count()
    with ThreadPoolExecutor(count) as clients:
        return list(clients.map(lambda number: _client(port, photos[number % len(photos)], refused), range(count)))


def _client(port: int, photo: bytes, refused: Iterator[int]) -> _Client:
    """Send a photo; if it is refused, send it again until it is let in. The first who is refused does not wait."""
    send = partial(exchange, port, giant_request(photo), source=HONEST, timeout_s=ANSWER_S)
    first, refused_s = send(), time.monotonic()
    if first.status != _OVERLOADED or first.retry_after_s is None:
        return _Client(first, None)
    promised_s, early = float(first.retry_after_s), next(refused) == 0
    if not early:
        time.sleep(promised_s)
    return _Client(first, Promise(promised_s, _admitted_s(send, refused_s, promised_s), early))


def _admitted_s(send: Callable[[], Answer], refused_s: float, promised_s: float) -> float | None:
    """When the photo is let in, s after `refused_s`: what is asked again and again is answered at last."""
    while (after_s := time.monotonic() - refused_s) <= max(GIVEN_UP * promised_s, LEAST_PAUSE_S):
        status = send().status
        if status != _OVERLOADED:
            return round(after_s, 2) if status == _OK else None
        time.sleep(max(LEAST_PAUSE_S, promised_s / 8))
    return None


def _round(kind: str, photos: Sequence[bytes], sent: Sequence[_Client], confined: Confined) -> Round:
    counts = Counter(str(client.first.status) for client in sent)
    explained = sum(client.first.status == _OK or client.promise is not None for client in sent)
    return Round(
        kind=kind,
        largest_bytes=max(map(len, photos)),
        statuses=dict(sorted(counts.items())),
        unexplained=len(sent) - explained,
        promises=[client.promise for client in sent if client.promise is not None],
        deaths=int(confined.kills > 0),
        peak_mb=round(confined.appliance.peak_mb(), 1),
    )


def giants_goals(result: GiantsResult) -> list[Goal]:
    """The figures to reach."""
    what = f"largest photos, {result.at_once} at once"
    broken = sum(not promise.kept for each in result.rounds for promise in each.promises)
    promises = sum(len(each.promises) for each in result.rounds)
    return [
        counted("largest photos, one at a time: deaths", result.sizing_deaths, "at most", 0),
        counted(f"{what}: deaths", sum(each.deaths for each in result.rounds), "at most", 0),
        counted(f"{what}: answers neither 200 nor 503 with Retry-After",
                sum(each.unexplained for each in result.rounds), "at most", 0),
        counted(f"{what}: Retry-After wrong by more than {FACTOR:g} times, of {promises}", broken, "at most", 0),
    ]  # fmt: skip


def giants_table(result: GiantsResult) -> Table:
    """One line a kind."""
    table = Table(title=f"Largest photo of each kind, {result.at_once} at once")
    for column in ("", "file, kB", "answers", "Retry-After, s", "let in after, s", "wrong", "deaths", "peak, MB"):
        table.add_column(column, justify="left" if column in {"", "answers"} else "right")
    for each in result.rounds:
        admitted = [promise.admitted_s for promise in each.promises if promise.admitted_s is not None]
        table.add_row(
            each.kind,
            f"{each.largest_bytes / 1000:.0f}",
            describe_statuses(each.statuses),
            _span([promise.promised_s for promise in each.promises]),
            _span(admitted),
            str(sum(not promise.kept for promise in each.promises)) if each.promises else "",
            str(each.deaths),
            "" if each.deaths else f"{each.peak_mb:.0f}",
        )
    return table


def _span(values: Sequence[float]) -> str:
    return f"{min(values):.1f} to {max(values):.1f}" if values else ""
