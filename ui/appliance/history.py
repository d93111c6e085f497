"""Scrape history of an appliance: one task polls its metrics for all visitors, only while a Monitor page is open."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from ui.appliance.client import Api, Refused, Unreachable
from ui.appliance.presence import Presence
from ui.appliance.scrape import Scrape, parse

SCRAPE_INTERVAL_S = 2.0
IDLE_AFTER_S = 7.0  # without a call of `keep_scraping`
KEPT = 450  # samples: a quarter of an hour


class Sample(NamedTuple):
    """One sample at `at` (Unix time, s). `scrape` is None if the appliance was unreachable."""

    at: float
    scrape: Scrape | None


class ScrapeHistory:
    """The last samples, oldest first. `sequence` grows with each, so that a page knows when to redraw."""

    def __init__(self, api: Callable[[], Awaitable[Api]], presence: Presence) -> None:
        """Scrape the appliance of `api`, from the first call of `keep_scraping` on, and note whether it answers."""
        self._api = api
        self.presence = presence
        self._task: asyncio.Task[None] | None = None
        self._wanted_until = 0.0
        self.samples: deque[Sample] = deque(maxlen=KEPT)
        self.health: dict[str, Any] = {}
        self.sequence = 0

    def keep_scraping(self) -> None:
        """Start scraping, or go on for IDLE_AFTER_S."""
        self._wanted_until = time.monotonic() + IDLE_AFTER_S
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    def stop(self) -> None:
        """Stop scraping."""
        if self._task:
            self._task.cancel()

    @property
    def latest(self) -> Scrape | None:
        """The last scrape that succeeded."""
        return next((sample.scrape for sample in reversed(self.samples) if sample.scrape), None)

    def before(self, seconds: float) -> Scrape | None:
        """The oldest scrape of the process that serves now and at most `seconds` old."""
        newest = self.latest
        if newest is None:
            return None
        scrapes = (sample.scrape for sample in self.samples if sample.scrape)
        return next((s for s in scrapes if s.began == newest.began and s.at >= newest.at - seconds), None)

    async def _run(self) -> None:
        while time.monotonic() < self._wanted_until:
            began = time.monotonic()
            await self._once()
            await asyncio.sleep(max(0.2, SCRAPE_INTERVAL_S - (time.monotonic() - began)))

    async def _once(self) -> None:
        scrape: Scrape | None = None
        try:
            api = await self._api()
            scrape = parse(await api.metrics(), time.time())
            self.health = await api.health()
        except (Unreachable, Refused, ValueError):
            scrape = None
        now = time.time()
        self.presence.note(up=scrape is not None)
        self.samples.append(Sample(now, scrape))
        self.sequence += 1
