"""Browser benchmark: start, memory and clicks of the page, and what it costs API clients."""

from __future__ import annotations

import functools
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np
from rich.table import Table

from benchmarks.contenders.photos import PHONE, draw_jpeg
from benchmarks.contenders.servers import Server, page_and_api, serving
from benchmarks.host.browser import Browser
from benchmarks.host.interference import Contention, watch_contention
from benchmarks.host.machine import Machine, this_machine
from benchmarks.host.server_process import HOST, ServerError
from benchmarks.load_generator.generator import Send, generator
from benchmarks.load_generator.plans import Burst, Closed, Order, describe_statuses
from benchmarks.load_generator.raw_requests import raw
from benchmarks.measurements.serving.footprint import MEGABYTE, Look
from benchmarks.statistics.goals import Goal, counted
from benchmarks.statistics.samples import Estimate, interleave, median_of, ratio_of_medians
from runtime.bundle.manifest import Bundle
from runtime.cli.progress import progress
from runtime.host.cpu import available_cpus

if TYPE_CHECKING:
    from playwright.sync_api import Page

CLIENTS = 16  # of the API: enough to keep every core of a small host busy
PHONE_EVERY = 25  # of the uploaded photos one is of 12 megapixels
LOOK_S = 0.25
STANDSTILL_S = 60.0
RUN_IN_S = 1.0  # of the same load before each turn: a host that has just been idle is another host
PAUSE_S = 0.15  # between two clicks, as somebody in a hurry makes them
SETTLE_S = 8.0  # the server looks at the appliance for seven seconds after the last Monitor page is gone
ALONE, WATCHED, CLICKED = "no page open", "Monitor open", "clicking from page to page"
CONNECTED = ".state .dot"  # drawn by the server, once the page is connected to it
NAVIGATION = "nav.pages a"

# A click counts until what it asked for has been painted: another heading, drawn by the server.
_CLICK = f"""async (number) => {{
  const links = [...document.querySelectorAll("{NAVIGATION}")];
  const heading = () => document.querySelector("#main h1")?.textContent;
  const before = heading(), began = performance.now();
  links[number % links.length].click();
  await new Promise((drawn) => {{
    const look = () => (heading() && heading() !== before ? requestAnimationFrame(drawn) : requestAnimationFrame(look));
    look();
  }});
  return performance.now() - began;
}}"""
_COUNT = "() => ['.card.done', '.card.refused'].map((kind) => document.querySelectorAll(kind).length)"


class Turn(msgspec.Struct, frozen=True):
    """One burst of the API's clients, and the clicks (ms) that were made meanwhile."""

    burst: Burst
    clicks_ms: list[float]


class PageResult(msgspec.Struct, frozen=True):
    """`first_page_s` is from the start of the process to the first page painted, `start_s` to its first answer.

    `memory` counts uploaded photos as requests. `turns` are by what the browser did meanwhile.
    """

    machine: Machine
    neighbours: Contention
    bundle: str
    image_size: int
    rounds: int
    seconds: float
    start_s: list[float]
    first_page_s: list[float]
    uploads: int
    refused: int
    memory: list[Look]
    turns: dict[str, list[Turn]]
    goals: list[Goal]

    def p99_ms(self, name: str) -> list[float]:
        """The API's 99th percentile in each round."""
        return [turn.burst.quantile_ms(0.99) for turn in self.turns[name]]

    @property
    def clicks_ms(self) -> list[float]:
        """All clicks."""
        return [ms for turns in self.turns.values() for turn in turns for ms in turn.clicks_ms]


class _Session(NamedTuple):
    """A browser in front of a running page, and what loads the API beside it."""

    page: Page
    server: Server
    send: Send
    order: Order


def measure_page(
    bundle: Bundle, photos: Sequence[bytes], browser: Browser, *, starts: int, uploads: int, rounds: int, seconds: float
) -> PageResult:
    """Start page and API `starts` times, upload photos through the last one, then load it in turns of `seconds`."""
    recipe = page_and_api(bundle.path)
    requests = list(map(raw("/predict"), photos))
    start_s: list[float] = []
    first_page_s: list[float] = []
    with watch_contention(available_cpus()) as watch, generator() as send, progress("start", starts) as advance:
        watch.include(browser.pid)
        for number in range(starts):
            began = time.perf_counter()
            with serving(recipe) as server:
                watch.include(server.pid)
                _open(browser.page, server, "/")
                first_page_s.append(time.perf_counter() - began)
                start_s.append(server.start_s)
                advance()
                if number < starts - 1:
                    browser.page.goto("about:blank")
                    continue
                memory, refused = _upload(browser.page, server, photos, uploads)
                order = Order(server.port, requests, Closed(CLIENTS, seconds))
                turns = _load(_Session(browser.page, server, send, order), rounds)
    return PageResult(
        machine=this_machine(),
        neighbours=watch.seen,
        bundle=bundle.manifest.version,
        image_size=bundle.manifest.input.height,
        rounds=rounds,
        seconds=seconds,
        start_s=start_s,
        first_page_s=first_page_s,
        uploads=uploads,
        refused=refused,
        memory=memory,
        turns=turns,
        goals=page_goals(first_page_s, memory, refused, turns),
    )


def _open(page: Page, server: Server, path: str) -> None:
    page.goto(f"http://{HOST}:{server.port}{path}")
    page.wait_for_selector("#main h1")
    page.wait_for_selector(CONNECTED)


def _upload(page: Page, server: Server, photos: Sequence[bytes], uploads: int) -> tuple[list[Look], int]:
    """Give the page all photos at once; returns the memory as they are answered, and how many were refused."""
    with tempfile.TemporaryDirectory() as folder, progress("photos through the page", uploads) as advance:
        files = _written(Path(folder), photos, uploads)
        began = changed = time.perf_counter()
        looks = [Look(0, 0.0, server.resident_bytes() / MEGABYTE)]
        page.set_input_files("input[multiple]", files)
        while True:
            done, refused = page.evaluate(_COUNT)
            now = time.perf_counter()
            if done + refused > looks[-1].requests:
                advance(done + refused - looks[-1].requests)
                changed = now
                looks.append(Look(done + refused, now - began, server.resident_bytes() / MEGABYTE))
            if done + refused >= uploads:
                return looks, refused
            if now - changed > STANDSTILL_S:
                raise ServerError(f"the page stands still at {done + refused} of {uploads} photos; open it to see why")
            time.sleep(LOOK_S)


def _written(folder: Path, photos: Sequence[bytes], uploads: int) -> list[Path]:
    phone = draw_jpeg(PHONE, 0)
    files = [folder / f"{number:05}.jpg" for number in range(uploads)]
    for number, file in enumerate(files, 1):
        file.write_bytes(photos[number % len(photos)] if number % PHONE_EVERY else phone)
    return files


def _load(session: _Session, rounds: int) -> dict[str, list[Turn]]:
    contenders: dict[str, Callable[[], Turn]] = {
        ALONE: functools.partial(_alone, session),
        WATCHED: functools.partial(_watched, session),
        CLICKED: functools.partial(_clicked, session),
    }
    return interleave(contenders, rounds, warm_up=1, what=f"{CLIENTS} API clients")


def _alone(session: _Session) -> Turn:
    session.page.goto("about:blank")
    time.sleep(SETTLE_S)
    return Turn(_burst(session), [])


def _watched(session: _Session) -> Turn:
    _open(session.page, session.server, "/monitor")
    return Turn(_burst(session), [])


def _burst(session: _Session) -> Burst:
    session.send(msgspec.structs.replace(session.order, plan=Closed(CLIENTS, RUN_IN_S)))
    return session.send(session.order)


def _clicked(session: _Session) -> Turn:
    """The load comes from a thread, for the browser is driven from this one."""
    _open(session.page, session.server, "/")
    clicks: list[float] = []
    with ThreadPoolExecutor(1) as beside:
        sending = beside.submit(session.send, session.order)
        while True:
            ms = float(session.page.evaluate(_CLICK, len(clicks) + 1))
            if sending.done():
                return Turn(sending.result(), clicks)
            clicks.append(ms)
            time.sleep(PAUSE_S)


def page_goals(
    first_page_s: Sequence[float], memory: Sequence[Look], refused: int, turns: dict[str, list[Turn]]
) -> list[Goal]:
    """The figures; the limits are the product's own."""
    clicks = [ms for turn in turns[CLICKED] for ms in turn.clicks_ms]
    alone, watching = ([turn.burst.quantile_ms(0.99) for turn in turns[name]] for name in (ALONE, WATCHED))
    failed = sum(status != 200 for each in turns.values() for turn in each for status in turn.burst.status)
    click = median_of(clicks) if clicks else Estimate(np.inf, np.inf, np.inf)
    return [
        Goal("start to first page, s", median_of(first_page_s), "at most", 3, len(first_page_s)),
        counted(f"resident after {memory[-1].requests} photos through the page, MB", memory[-1].resident_mb,
                "at most", 190),
        counted("photos that the page could not get answered", refused, "at most", 0),
        Goal(f"a click beside {CLIENTS} API clients, ms", click, "at most", 200, len(clicks)),
        Goal("the API's p99 with Monitor open over without", ratio_of_medians(watching, alone), "at most", 1.1,
             len(alone)),
        counted("requests of the API's clients not answered with 200", failed, "at most", 0),
    ]  # fmt: skip


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
        describe_statuses(statuses),
    ]
