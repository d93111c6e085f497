"""The options of a serving process: one list for the command line, the environment and the settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from runtime.api.security.keys import read_keys
from runtime.api.security.origins import read_hosts, read_origins
from runtime.errors import Refusal
from runtime.host.cores import inference_cores
from runtime.host.cpu import available_cpus
from runtime.host.photo_limits import MAX_PIXELS, limits_of_host
from runtime.names import entries
from runtime.names import path_prefix as prefix_in
from runtime.serving.client_address import TrustedProxies, read_proxies
from runtime.serving.offload import children_for
from runtime.serving.settings import Settings

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
    _option(
        "--feedback-photos",
        click.IntRange(1, 1_000_000),
        Settings.feedback_photos,
        "Corrected photos that may wait for review.",
    ),
    _option(
        "--feedback-mb", click.IntRange(1, 1_000_000), Settings.feedback_bytes // 2**20, "Their bytes together, MiB."
    ),
    _option(
        "--feedback-share",
        click.FloatRange(0, 1, min_open=True),
        Settings.feedback_share,
        "What one client address may send of both in a day, as a fraction; 1 for no limit of its own.",
    ),
    _option(
        "--teach-photos",
        click.IntRange(10, 1_000_000),
        Settings.teach_photos,
        "Photos that one dataset for teaching may have.",
    ),
    _option(
        "--teach-mb", click.IntRange(1, 1_000_000), Settings.teach_bytes // 2**20, "Photos of all such datasets, MiB."
    ),
    _option(
        "--inbox-photos",
        click.IntRange(0, 1_000_000),
        Settings.inbox_photos,
        "Photos with an uncertain or unknown answer that are kept to be labelled; 0 keeps none.",
    ),
    _option("--inbox-mb", click.IntRange(1, 1_000_000), Settings.inbox_bytes // 2**20, "Their bytes together, MiB."),
    _option("--inbox-days", click.FloatRange(0.01, 3650), Settings.inbox_days, "Days after which they are deleted."),
    _option("--cache", click.Path(path_type=Path), Path("var/cache"), "Folder for models and photos in transit."),
    _option("--poll-s", click.FloatRange(0.1, 86_400), 30.0, "Seconds between two looks at the models."),
    _option("--look-s", click.FloatRange(1, 86_400), 60.0, "Longest time that one look at the models may take."),
    _option("--trial-s", click.FloatRange(1, 86_400), 120.0, "Longest trial of a new version, in a child process."),
    _option(
        "--trial-memory-mb",
        click.IntRange(16, 1_000_000),
        None,
        "Memory that a new version may take in its trial, MiB; half of what is left if not given.",
    ),
    _option(
        "--model-names",
        str,
        None,
        "Models that may serve, by name, comma-separated; with --public-key, the one that serves if not given.",
    ),
    _option(
        "--examples/--no-examples",
        None,
        Settings.examples,
        "Show example photos of the data store to everybody who may predict, not only to administrators.",
        envvar="DANDELION_EXAMPLES",
    ),
    _option("--public-key", str, None, "Ed25519 key (base64 or its file); unsigned models are refused then."),
    _option("--api-keys", str, None, "Who may predict: `sha256:…` entries, comma-separated; anybody if not given."),
    _option(
        "--admin-keys",
        str,
        None,
        "Who may change the model; the page on this machine if not given. `runtime key` makes keys.",
    ),
    _option(
        "--wrong-keys",
        click.IntRange(1, 10_000),
        Settings.wrong_keys,
        "Wrong keys that one client address may send in a minute; beyond it 429.",
    ),
    _option(
        "--cors",
        str,
        None,
        "Origins whose pages may use the API from a browser, such as https://app.example, comma-separated.",
    ),
    _option(
        "--hosts",
        str,
        None,
        "Names of this appliance in a browser, beside its addresses and the host's own name, comma-separated.",
    ),
    _option(
        "--trusted-proxies",
        str,
        None,
        "Reverse proxies whose X-Forwarded-… headers count: addresses or networks, comma-separated.",
    ),
    _option(
        "--path-prefix",
        str,
        None,
        "Path below which a reverse proxy publishes the appliance, such as /meadow; trusted ones may send it.",
    ),
    _option("--host", str, "0.0.0.0", "Address to listen on."),  # noqa: S104
    _option("--port", click.IntRange(0, 65535), 8000, "Port; 0 takes a free one.", envvar="PORT"),
    _option(
        "--threads",
        click.IntRange(1, 1024),
        None,
        "Threads of one inference; the cores that make it quickest if not given.",
    ),
    _option("--max-upload-mb", click.IntRange(1, 1024), 20, "Largest request body, MiB."),
    _option(
        "--max-megapixels",
        click.IntRange(1, 1000),
        None,
        f"Largest photo, of any format; {MAX_PIXELS // MEGA}, or what the memory for decoding allows, if not given.",
    ),
    _option(
        "--decode-memory-mb",
        click.IntRange(4, 1_000_000),
        None,
        "Memory for decoding, of all photos together, MiB; a share of what the process may take if not given.",
    ),
    _option(
        "--max-request-megapixels",
        click.IntRange(1, 1_000_000),
        Settings.max_request_pixels // MEGA,
        "What decoding the photos of one request may cost, in megapixels of WebP.",
    ),
    _option(
        "--max-json-photos",
        click.IntRange(1, 128),
        None,
        "Most decoded photos in one JSON request of /v2; a batch of the model if not given. More go in binary.",
    ),
    _option(
        "--heavy-processes",
        click.IntRange(0, 1024),
        None,
        "Child processes for heavy photos and large JSON; what cores and memory allow if not given, 0 for threads.",
    ),
    _option("--budget-ms", click.IntRange(10, 600_000), 1000, "Longest wait for a free core; beyond it 503 at once."),
    _option(
        "--abstain", click.FloatRange(0, 1), None, "Confidence below which an answer is uncertain; the manifest's."
    ),
    _option("--upload-patience-s", click.FloatRange(0.1, 3600), 30.0, "Longest pause in an upload."),
    _option(
        "--drain-s",
        click.FloatRange(0, 3600),
        Settings.drain_s,
        "Seconds between SIGTERM and closing, with 503 on /health/ready: load balancers send nothing more by then.",
    ),
    _option("--head-timeout-s", click.FloatRange(0.1, 3600), 10.0, "Longest wait for the head of a request."),
    _option(
        "--upload-memory-mb",
        click.IntRange(1, 1_000_000),
        None,
        "Request bodies in memory, all together, MiB; an eighth of what is available, 24 to 128, if not given.",
    ),
    _option(
        "--upload-share",
        click.FloatRange(0, 1, min_open=True),
        Settings.upload_share,
        "What one client address may hold of it, as a fraction.",
    ),
    _option(
        "--max-connections",
        click.IntRange(8, 1_000_000),
        None,
        "Open connections; three quarters of the open files that the system allows, at most 8192, if not given.",
    ),
    _option("--log-level", click.Choice(["debug", "info", "warning", "error"]), "info", "What is logged."),
    _option("--log-format", click.Choice(["auto", "text", "json"]), "auto", "`auto` writes bare lines to a terminal."),
)


class BadPrefix(Refusal):
    """A path prefix that is none; the message names the setting."""


def serving_options(command: Command) -> Command:
    """Give a click command every option of a serving process; it takes them as keyword arguments."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def settings_of(
    *,
    threads: int | None,
    max_upload_mb: int,
    max_megapixels: int | None,
    decode_memory_mb: int | None,
    max_request_megapixels: int,
    heavy_processes: int | None,
    budget_ms: int,
    feedback_mb: int,
    teach_mb: int,
    inbox_mb: int,
    trial_memory_mb: int | None,
    upload_memory_mb: int | None,
    model_names: str | None,
    api_keys: str | None,
    admin_keys: str | None,
    trusted_proxies: str | None,
    cors: str | None,
    hosts: str | None,
    path_prefix: str | None,
    **same: Any,
) -> Settings:
    """The settings that the options give, but for the log's; `same` need no conversion.

    Raises BadKeys, BadPrefix, BadProxies and BadOrigins.
    """
    cpus = available_cpus()
    return Settings(
        threads=threads or inference_cores().threads,
        workers=cpus,
        max_upload_bytes=max_upload_mb * 2**20,
        photo_limits=limits_of_host(
            max_pixels=None if max_megapixels is None else max_megapixels * MEGA,
            decoding_bytes=None if decode_memory_mb is None else decode_memory_mb * 2**20,
        ),
        max_request_pixels=max_request_megapixels * MEGA,
        heavy_processes=children_for(cpus) if heavy_processes is None else heavy_processes,
        budget_s=budget_ms / 1000,
        feedback_bytes=feedback_mb * 2**20,
        teach_bytes=teach_mb * 2**20,
        inbox_bytes=inbox_mb * 2**20,
        upload_memory_bytes=None if upload_memory_mb is None else upload_memory_mb * 2**20,
        trial_memory_bytes=None if trial_memory_mb is None else trial_memory_mb * 2**20,
        model_names=frozenset(entries(model_names)) or None,
        api_keys=read_keys(api_keys, "DANDELION_API_KEYS"),
        admin_keys=read_keys(admin_keys, "DANDELION_ADMIN_KEYS"),
        trusted_proxies=TrustedProxies(read_proxies(trusted_proxies)),
        cors=read_origins(cors),
        hosts=read_hosts(hosts),
        path_prefix=_read_prefix(path_prefix),
        **same,
    )


def _read_prefix(text: str | None) -> str:
    prefix = prefix_in(text or "")
    if prefix is None:
        raise BadPrefix(f"DANDELION_PATH_PREFIX: {(text or '')[:100]!r} is no plain path such as /meadow")
    return prefix
