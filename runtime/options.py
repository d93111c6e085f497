"""The options of a serving process: one list for the command line, the environment and the settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from runtime.api.keys import read_keys
from runtime.cpu import available_cpus
from runtime.image import DEFAULT_MAX_PIXELS
from runtime.settings import Settings

Command = TypeVar("Command", bound=Callable[..., Any])

MEGA = 1_000_000


def _option(
    name: str, kind: Any, default: Any, help_: str, *, envvar: str | None = None
) -> Callable[[Command], Command]:
    variable = envvar or "DANDELION_" + name.removeprefix("--").replace("-", "_").upper()
    return click.option(name, type=kind, default=default, envvar=variable, show_envvar=True, help=help_)


_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)

_OPTIONS = (
    _option(
        "--bundle", _FOLDER, None, "Folder of the bundle to serve, and no other; the one in this package if not given."
    ),
    _option("--models", str, None, "Folder or s3://bucket/prefix whose models/latest.json is followed."),
    _option(
        "--data",
        str,
        None,
        "Folder or s3://bucket/prefix that keeps corrected photos; without it there is no feedback.",
    ),
    _option("--cache", click.Path(path_type=Path), Path("var/cache"), "Folder for models and photos in transit."),
    _option("--poll-s", click.FloatRange(0.1, 86_400), 30.0, "Seconds between two looks at the models."),
    _option("--public-key", str, None, "Ed25519 key (base64 or its file); unsigned models are refused then."),
    _option("--api-keys", str, None, "Who may predict: `sha256:…` entries, comma-separated; anybody if not given."),
    _option("--admin-keys", str, None, "Who may change the model; nobody if not given. `runtime key` makes keys."),
    _option("--host", str, "0.0.0.0", "Address to listen on."),  # noqa: S104
    _option("--port", click.IntRange(0, 65535), 8000, "Port; 0 takes a free one.", envvar="PORT"),
    _option(
        "--threads", click.IntRange(min=1), None, "Threads of one inference; all cores that it may use if not given."
    ),
    _option("--max-upload-mb", click.IntRange(1, 1024), 20, "Largest request body, MiB."),
    _option(
        "--max-megapixels", click.IntRange(1, 1000), DEFAULT_MAX_PIXELS // MEGA, "Largest photo, before it is decoded."
    ),
    _option("--budget-ms", click.IntRange(10, 600_000), 1000, "Longest wait for a free core; beyond it 503 at once."),
    _option(
        "--abstain", click.FloatRange(0, 1), None, "Confidence below which an answer is uncertain; the manifest's."
    ),
    _option("--upload-patience-s", click.FloatRange(0.1, 3600), 30.0, "Longest pause in an upload."),
    _option("--log-level", click.Choice(["debug", "info", "warning", "error"]), "info", "What is logged."),
    _option("--log-format", click.Choice(["auto", "text", "json"]), "auto", "`auto` writes bare lines to a terminal."),
)


def serving_options(command: Command) -> Command:
    """Give a click command every option of a serving process; it takes them as keyword arguments."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def settings_of(
    *,
    threads: int | None,
    max_upload_mb: int,
    max_megapixels: int,
    budget_ms: int,
    api_keys: str | None,
    admin_keys: str | None,
    **same: Any,
) -> Settings:
    """The settings that the options give, but for the log's; `same` need no conversion. Raises BadKeys."""
    cpus = available_cpus()
    return Settings(
        threads=threads or cpus,
        workers=cpus,
        max_upload_bytes=max_upload_mb * 2**20,
        max_pixels=max_megapixels * MEGA,
        budget_s=budget_ms / 1000,
        api_keys=read_keys(api_keys, "DANDELION_API_KEYS"),
        admin_keys=read_keys(admin_keys, "DANDELION_ADMIN_KEYS"),
        **same,
    )
