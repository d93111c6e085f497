"""Command-line entry point: `python -m runtime` serves a bundle over HTTP; `check` verifies one.

Commands import what they need when they run: `--help` and `models` load no web framework.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from runtime.api.security.keys import new_key
from runtime.cli.batch import batch
from runtime.cli.group import Commands
from runtime.cli.models import models, store
from runtime.cli.options import serving_options, settings_of
from runtime.cli.teach import teach
from runtime.host.logs import Format, configure_logging
from runtime.host.memory import share_one_arena
from runtime.host.sockets import listen
from runtime.host.thread_priority import compute_in_own_threads

GRACE_S = 30

log = logging.getLogger("runtime")


class _ServeByDefault(Commands):
    """`python -m runtime --port 80` means `python -m runtime serve --port 80`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] != "--help"):
            args = ["serve", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_ServeByDefault, context_settings={"show_default": True})
def main() -> None:
    """Serve an image-classification bundle on this machine's CPU.

    Without a command it serves: `python -m runtime --port 8000`.
    """


@main.command()
@serving_options
def serve(log_level: str, log_format: Format, **options: Any) -> None:
    """Answer `POST /predict`; the API's own page is at /docs."""
    configure_logging(log_level, log_format)
    # uvicorn finishes what is under way and then raises the signal again: asked to stop, we end with 0.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    settings = settings_of(**options)
    share_one_arena()
    compute_in_own_threads()
    with listen(settings.host, settings.port) as listener:
        from runtime.serving.appliance import assemble

        with _importing_web_framework():
            appliance = assemble(settings)
        from runtime.api.app import App
        from runtime.serving.uvicorn_server import Server

        server = Server(App(appliance), settings, appliance, grace_s=GRACE_S, ws="none")
        port = listener.getsockname()[1]
        log.info("serving %s at http://localhost:%d (API page: /docs)", appliance.engine.model.name.version, port)
        server.run(sockets=[listener])


@contextmanager
def _importing_web_framework() -> Iterator[None]:
    """Import Litestar and uvicorn in a thread while the block fetches, tries or opens the model."""

    def work() -> None:
        for module in ("runtime.api.app", "runtime.serving.uvicorn_server"):
            import_module(module)

    thread = threading.Thread(target=work, name="import-web-framework")
    thread.start()
    yield
    thread.join()


@main.command()
@click.argument("bundle", type=click.Path(path_type=Path), required=False)
def check(bundle: Path | None) -> None:
    """Verify a bundle, file by file, and load it; without BUNDLE the one in this package."""
    from runtime.bundle.default import default_bundle
    from runtime.bundle.manifest import Bundle
    from runtime.cli.described import identity_of, quality_of
    from runtime.host.cores import inference_cores
    from runtime.inference.backends import open_validated

    path = bundle or default_bundle()
    opened = Bundle.open(path)
    kernel = open_validated(opened, threads=inference_cores().threads).kernel
    click.echo(identity_of(opened.manifest))
    click.echo(quality_of(opened.manifest))
    click.echo(
        f"golden cases: {kernel.precision.upper()} ({kernel.kernel} kernel) is within {kernel.deviation:.4f} of the "
        "record; every file is intact"
    )


@main.command()
def key() -> None:
    """Make an API key, and the entry that lets it in."""
    fresh, entry = new_key()
    click.echo(f"key    {fresh}\nentry  {entry}")
    click.echo("give the key to its user; put the entry into DANDELION_API_KEYS or DANDELION_ADMIN_KEYS")


main.add_command(batch)
main.add_command(models)
main.add_command(store)
main.add_command(teach)


if __name__ == "__main__":
    sys.exit(main(prog_name="python -m runtime"))
