"""`python -m ui`: serve the browser app, by default together with the API on one port."""

from __future__ import annotations

import logging
import signal
import sys
from typing import Any
from urllib.parse import urlsplit

import click

from runtime.cli.group import OneLine
from runtime.cli.options import serving_options, settings_of
from runtime.host.logs import Format
from runtime.host.thread_priority import compute_in_own_threads
from ui.server.reach import NOWHERE

log = logging.getLogger("ui")


def _checked_url(_: click.Context, __: click.Parameter, url: str | None) -> str | None:
    return url and _address(url, "MLflow, such as http://meadow:5000")


def _checked_public(_: click.Context, __: click.Parameter, url: str | None) -> str | None:
    return url if url in (None, "", NOWHERE) else _address(url, "this page, such as http://meadow:8000, or none")


def _checked_urls(_: click.Context, __: click.Parameter, urls: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_address(url, "an appliance, such as http://meadow:8000") for url in urls))


def _address(url: str, of: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise click.BadParameter(f"{url!r} is not the address of {of}")
    if parts.username or parts.password:
        raise click.BadParameter("an address holds no password; type the API key in the page")
    return url.rstrip("/")


@click.command(cls=OneLine, extra="ui", context_settings={"show_default": True})
@click.option(
    "--api",
    "remotes",
    multiple=True,
    callback=_checked_urls,
    envvar="DANDELION_API",
    show_envvar=True,
    metavar="URL",
    help="Serve only the page, for the appliance at URL. Several may be given: the page can switch between them.",
)
@click.option(
    "--mlflow",
    callback=_checked_url,
    envvar="DANDELION_MLFLOW",
    show_envvar=True,
    metavar="URL",
    help="Where a browser finds MLflow: the Models page links each version to the run that made it.",
)
@click.option(
    "--page-clients",
    type=click.IntRange(2, 100_000),
    envvar="DANDELION_PAGE_CLIENTS",
    show_envvar=True,
    help="Pages that may be open at once; as many as an eighth of the available memory holds if not given.",
)
@click.option(
    "--page-waiting",
    type=click.IntRange(2, 100_000),
    default=50,
    envvar="DANDELION_PAGE_WAITING",
    show_envvar=True,
    help="Pages among them that were loaded and have not connected yet.",
)
@click.option(
    "--public-url",
    callback=_checked_public,
    envvar="DANDELION_PUBLIC_URL",
    show_envvar=True,
    metavar="URL",
    help="Where a phone finds the page, which shows it as a QR code; `none` shows none. "
    "This host's address in its network if not given.",
)
@serving_options
def main(
    remotes: tuple[str, ...],
    mlflow: str | None,
    page_clients: int | None,
    page_waiting: int,
    public_url: str | None,
    log_level: str,
    log_format: Format,
    **options: Any,
) -> None:
    """Serve the browser app on one port with the API, or with --api in front of a remote appliance."""
    compute_in_own_threads()
    from runtime.host.logs import configure_logging
    from runtime.host.sockets import listen
    from ui.server.page_clients import page_limits
    from ui.server.process import serve

    configure_logging(log_level, log_format)
    for chatty in ("httpx", "httpcore"):  # a line for each photo on its way, and at debug level what is in its head
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # uvicorn finishes what is under way and then raises the signal again: asked to stop, we end with 0 and in silence.
    for asked in (signal.SIGTERM, signal.SIGINT):
        signal.signal(asked, lambda *_: sys.exit(0))
    settings = settings_of(**options)
    with listen(settings.host, settings.port) as listener:
        serve(
            settings,
            remotes,
            listener,
            mlflow=mlflow,
            limits=page_limits(page_waiting, page_clients),
            public_url=public_url,
        )


if __name__ == "__main__":
    sys.exit(main(prog_name="python -m ui"))
