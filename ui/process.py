"""One process: the page, and where no remote appliance is named, the API beside it on the same port."""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence

from runtime.api.app import App
from runtime.appliance import assemble
from runtime.memory import share_one_arena
from runtime.server import Server, config_of
from runtime.settings import Settings
from ui.dispatch import Dispatcher
from ui.shell import create_shell
from ui.targets import Targets

log = logging.getLogger(__name__)

GRACE_S = 10  # for photos under way; open pages are told to reconnect at once


def serve(settings: Settings, remotes: Sequence[str], listener: socket.socket, *, mlflow: str | None) -> None:
    """Serve until a signal ends it; `mlflow` is where a browser finds the runs of the models.

    Raises BundleError and Refusal where the model cannot be loaded.
    """
    share_one_arena()
    appliance = None if remotes else assemble(settings)
    api = App(appliance) if appliance else None
    targets = Targets(remotes, api, load=lambda: App(assemble(settings)))
    config = config_of(Dispatcher(create_shell(targets, mlflow), api, targets), grace_s=GRACE_S)
    port = listener.getsockname()[1]
    what = f"the page for {', '.join(remotes)}" if remotes else "page and API (its own page: /docs)"
    log.info("serving %s at http://localhost:%d", what, port)
    Server(config, appliance).run(sockets=[listener])
