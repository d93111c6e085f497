"""The server process of the browser app; without a remote appliance it serves the API on the same port, too."""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence

from runtime.api.app import App
from runtime.host.memory import share_one_arena
from runtime.serving.appliance import assemble
from runtime.serving.monitoring.metrics import Metrics
from runtime.serving.settings import Settings
from runtime.serving.uvicorn_server import Server
from ui.appliance.targets import Targets
from ui.server.dispatch import Dispatcher
from ui.server.page_clients import PageLimits
from ui.server.reach import Reach
from ui.server.shell import create_shell

log = logging.getLogger(__name__)

GRACE_S = 10  # for photos under way; open pages are told to reconnect at once


def serve(
    settings: Settings,
    remotes: Sequence[str],
    listener: socket.socket,
    *,
    mlflow: str | None,
    limits: PageLimits,
    public_url: str | None = None,
) -> None:
    """Serve until a signal ends it; `mlflow` is where a browser finds the runs of the models.

    `public_url` is where others find the page, if the operator says so (`Reach`).

    Raises BundleError and Refusal if the model cannot be loaded.
    """
    share_one_arena()
    appliance = None if remotes else assemble(settings)
    api = App(appliance) if appliance else None
    targets = Targets(remotes, api, load=lambda: App(assemble(settings)))
    metrics = appliance.metrics if appliance else Metrics()  # those of a page alone are served nowhere
    reach = Reach(settings.host, public_url)
    shell = create_shell(targets, mlflow, settings, metrics, limits, reach)
    app = Dispatcher(shell, api, targets, settings)
    what = f"the page for {', '.join(remotes)}" if remotes else "page and API (described at /docs)"
    log.info("serving %s", what)
    server = _Server(app, settings, appliance, grace_s=GRACE_S, ws="auto")
    server.announcement = where(reach, listener.getsockname()[1])
    server.run(sockets=[listener])


class _Server(Server):
    """Says where it is found, once it is: its last line, and the only one that most people need."""

    announcement = ""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            log.info("%s", self.announcement)


def where(reach: Reach, port: int) -> str:
    """How to open the page of a server that listens on `port`, here and on a phone."""
    phone = reach.at(port)
    return f"Open http://localhost:{port}" + (f" · on your phone {phone}" if phone else "")
