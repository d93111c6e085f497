"""`python -m runtime`: serve a bundle over HTTP, or check one."""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path
from typing import Any

import click

from runtime.api.app import App
from runtime.api.keys import new_key
from runtime.appliance import assemble
from runtime.batch.commands import batch
from runtime.bundle import Bundle
from runtime.commands import Commands
from runtime.cpu import available_cpus
from runtime.default import default_bundle
from runtime.kernels import open_proven
from runtime.listening import listen
from runtime.logs import Format, configure_logging
from runtime.memory import share_one_arena
from runtime.models.commands import models, store
from runtime.options import serving_options, settings_of
from runtime.server import Server, config_of

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
    with listen(settings.host, settings.port) as listener:
        appliance = assemble(settings)
        config = config_of(App(appliance), grace_s=GRACE_S)
        port = listener.getsockname()[1]
        log.info("serving %s at http://localhost:%d (API page: /docs)", appliance.engine.model.name.version, port)
        Server(config, appliance).run(sockets=[listener])


@main.command()
@click.argument("bundle", type=click.Path(path_type=Path), required=False)
def check(bundle: Path | None) -> None:
    """Verify a bundle, file by file, and load it; without BUNDLE the one in this package."""
    path = bundle or default_bundle()
    opened = Bundle.open(path)
    kernel = open_proven(opened, threads=available_cpus()).kernel
    manifest = opened.manifest
    scores = manifest.metrics.int8
    click.echo(
        f"{manifest.name} {manifest.version}: {manifest.input.width} x {manifest.input.height} px, "
        f"labels {', '.join(manifest.labels)}"
    )
    click.echo(
        f"accuracy {scores.accuracy:.4f}, F1 {scores.f1:.4f} on {manifest.metrics.photos} validation photos (INT8)"
    )
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


if __name__ == "__main__":
    sys.exit(main(prog_name="python -m runtime"))
