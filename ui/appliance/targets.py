"""Target appliances: an allow-list of remote URLs from the operator, and the model on this machine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from runtime.api.app import App
from runtime.errors import Refusal
from ui.appliance.client import Api, Refused, Unreachable
from ui.appliance.history import ScrapeHistory
from ui.appliance.latency_test import Report
from ui.appliance.presence import Presence

LOCAL = "local"
STATE_KEPT_S = 2.0


class State:
    """What the head of every page shows of an appliance."""

    def __init__(self, *, up: bool, version: str, since: float, reasons: Sequence[str] = ()) -> None:
        """`since` is the Unix time from which it is up or away; `reasons` say why it is degraded."""
        self.up = up
        self.version = version
        self.since = since
        self.reasons = tuple(reasons)


class Targets:
    """Appliances by key. A visitor chooses one of these keys, never an address: the page is no open relay."""

    def __init__(self, remotes: Sequence[str], api: App | None, load: Callable[[], App]) -> None:
        """`api` runs in this process already; else `load` makes one when a visitor first asks for this machine."""
        self.keys = (LOCAL,) if api else (*remotes, LOCAL)
        self._apis = {url: Api.at(url) for url in remotes}
        if api:
            self._apis[LOCAL] = Api.inside(api)
        self._app = api
        self._load = load
        self._loading = asyncio.Lock()
        self._local: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self._presences = {key: Presence() for key in self.keys}
        self._histories = {
            key: ScrapeHistory(lambda key=key: self.api(key), presence)  # type: ignore[misc]
            for key, presence in self._presences.items()
        }
        self._states: dict[str, tuple[float, State]] = {}
        self.reports: dict[str, Report] = {}  # the last measurement of each

    @property
    def default(self) -> str:
        """The one that a new visitor asks."""
        return self.keys[0]

    def history(self, key: str) -> ScrapeHistory:
        """What is seen of an appliance over time."""
        return self._histories[key]

    async def api(self, key: str) -> Api:
        """The appliance `key`; the model on this machine is loaded when it is first asked. Raises Unreachable."""
        if key not in self._apis:
            async with self._loading:
                if key not in self._apis:
                    self._apis[key] = await self._load_local()
        return self._apis[key]

    def folder(self, key: str) -> Path | None:
        """The folder of the model that serves in this process; None for a remote appliance."""
        return self._app.appliance.engine.model.folder if key == LOCAL and self._app else None

    async def state(self, key: str) -> State:
        """How the appliance is, asked at most every two seconds for all visitors together."""
        asked, state = self._states.get(key, (0.0, None))
        if state is None or time.monotonic() - asked > STATE_KEPT_S:
            state = await self._ask(key, state)
            self._states[key] = (time.monotonic(), state)
        return state

    async def close(self) -> None:
        """Stop the watching, the local model and all connections."""
        for history in self._histories.values():
            history.stop()
        for api in self._apis.values():
            await api.close()
        if self._local:
            self._stop.set()
            await self._local

    async def _ask(self, key: str, before: State | None) -> State:
        try:
            health = await (await self.api(key)).health()
            up, version, reasons = True, str(health["model"]["version"]), health["reasons"]
        except (Unreachable, Refused, KeyError, TypeError):
            up, version, reasons = False, before.version if before else "", []
        presence = self._presences[key]
        presence.note(up=up)
        return State(up=up, version=version, since=presence.since, reasons=reasons)

    async def _load_local(self) -> Api:
        try:
            app = await asyncio.get_running_loop().run_in_executor(None, self._load)
        except Refusal as error:
            raise Unreachable(str(error)) from error
        self._app = app
        ready = asyncio.Event()
        self._local = asyncio.create_task(self._live(app, ready))  # a task of its own: what it enters, it must leave
        await ready.wait()
        return Api.inside(app)

    async def _live(self, app: App, ready: asyncio.Event) -> None:
        async with app.lifespan():
            ready.set()
            await self._stop.wait()
