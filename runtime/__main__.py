"""`python -m runtime`: serve a bundle over HTTP, or check one."""

from __future__ import annotations

import logging
import signal
import socket
import sys
from pathlib import Path

import click
import uvicorn

from runtime.api.app import create_app
from runtime.bundle import Bundle
from runtime.commands import Commands, Refusal
from runtime.cpu import available_cpus
from runtime.default import default_bundle
from runtime.engine import Engine
from runtime.image import DEFAULT_MAX_PIXELS
from runtime.kernels import open_proven
from runtime.logs import configure_logging
from runtime.settings import Settings

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
@click.option(
    "--bundle",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="DANDELION_BUNDLE",
    show_envvar=True,
    help="Folder of the bundle to serve; the one in this package if not given.",
)
@click.option("--host", default="0.0.0.0", envvar="DANDELION_HOST", show_envvar=True, help="Address to listen on.")  # noqa: S104
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    envvar="PORT",
    show_envvar=True,
    help="Port; 0 takes a free one.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    envvar="DANDELION_THREADS",
    show_envvar=True,
    help="Threads of one inference; all cores that this process may use if not given.",
)
@click.option(
    "--max-upload-mb",
    type=click.IntRange(1, 1024),
    default=20,
    envvar="DANDELION_MAX_UPLOAD_MB",
    show_envvar=True,
    help="Largest request body, MiB.",
)
@click.option(
    "--max-megapixels",
    type=click.IntRange(1, 1000),
    default=DEFAULT_MAX_PIXELS // 1_000_000,
    envvar="DANDELION_MAX_MEGAPIXELS",
    show_envvar=True,
    help="Largest photo, before it is decoded.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    envvar="DANDELION_LOG_LEVEL",
    show_envvar=True,
)
def serve(
    bundle: Path | None,
    host: str,
    port: int,
    threads: int | None,
    max_upload_mb: int,
    max_megapixels: int,
    log_level: str,
) -> None:
    """Answer `POST /predict`; the API's own page is at /docs."""
    configure_logging(log_level)
    # uvicorn finishes what is under way and then raises the signal again: asked to stop, we end with 0.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    cpus = available_cpus()
    settings = Settings(
        bundle=bundle or default_bundle(),
        host=host,
        port=port,
        threads=threads or cpus,
        workers=cpus,
        max_upload_bytes=max_upload_mb * 2**20,
        max_pixels=max_megapixels * 1_000_000,
    )
    with _listen(settings.host, settings.port) as listener:
        engine = Engine(Bundle.open(settings.bundle), settings)
        config = uvicorn.Config(
            create_app(engine, settings),
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=30,
        )
        log.info("serving %s at http://localhost:%d (API page: /docs)", engine.model.version, listener.getsockname()[1])
        uvicorn.Server(config).run(sockets=[listener])


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
        "recorded FP32 here; every file is intact"
    )


def _listen(host: str, port: int) -> socket.socket:
    """Take the port before anything is loaded: a busy one is the commonest mistake."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise Refusal(
            f"cannot listen on {host} port {port} ({error.strerror}); choose another with PORT= or DANDELION_HOST="
        ) from error
    return listener


if __name__ == "__main__":
    sys.exit(main(prog_name="python -m runtime"))
