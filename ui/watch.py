"""An appliance over time: scraped every two seconds by one task for all visitors, and only while somebody looks."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from ui.api import Api, Away, Refused
from ui.scrape import Scrape, parse

EVERY_S = 2.0
PATIENCE_S = 7.0  # after the last visitor looked
KEPT = 450  # looks: a quarter of an hour


class Look(NamedTuple):
    """One look at the appliance at `at` (Unix time, s). `scrape` is None where it was away."""

    at: float
    scrape: Scrape | None


class Watch:
    """The last looks, oldest first. `sequence` grows with each, so that a page knows when to draw again."""

    def __init__(self, api: Callable[[], Awaitable[Api]]) -> None:
        """Ask the appliance that `api` gives; nothing is asked until somebody looks."""
        self._api = api
        self._task: asyncio.Task[None] | None = None
        self._wanted_until = 0.0
        self.looks: deque[Look] = deque(maxlen=KEPT)
        self.health: dict[str, Any] = {}
        self.model: dict[str, Any] = {}
        self.away_since: float | None = None
        self.back_since: float | None = None
        self.sequence = 0

    def look(self) -> None:
        """Say that somebody looks now."""
        self._wanted_until = time.monotonic() + PATIENCE_S
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    def stop(self) -> None:
        """Look no more."""
        if self._task:
            self._task.cancel()

    @property
    def latest(self) -> Scrape | None:
        """The last scrape that succeeded."""
        return next((look.scrape for look in reversed(self.looks) if look.scrape), None)

    def before(self, seconds: float) -> Scrape | None:
        """The oldest scrape of the process that serves now and at most `seconds` old."""
        newest = self.latest
        if newest is None:
            return None
        scrapes = (look.scrape for look in self.looks if look.scrape)
        return next((s for s in scrapes if s.began == newest.began and s.at >= newest.at - seconds), None)

    async def _run(self) -> None:
        while time.monotonic() < self._wanted_until:
            began = time.monotonic()
            await self._once()
            await asyncio.sleep(max(0.2, EVERY_S - (time.monotonic() - began)))

    async def _once(self) -> None:
        scrape: Scrape | None = None
        try:
            api = await self._api()
            scrape = parse(await api.metrics(), time.time())
            self.health = await api.health()
            serving = self.health.get("model", {}).get("version")
            if not self.model or self.model["manifest"]["version"] != serving or self.away_since:
                self.model = await api.model()
        except (Away, Refused, KeyError, ValueError):
            scrape = None
        now = time.time()
        if scrape is None:
            self.away_since = self.away_since or now
        elif self.away_since:
            self.away_since, self.back_since = None, now
        self.looks.append(Look(now, scrape))
        self.sequence += 1
