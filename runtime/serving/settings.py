"""Settings of the serving process; the command line reads them once from options and the environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from runtime.host.photo_limits import PhotoLimits
from runtime.serving.client_address import TrustedProxies


@dataclass(frozen=True)
class Settings:
    """Settings of one serving process. `threads` is what one inference may use; `workers` how many photos at once.

    `upload_memory_bytes` bounds all request bodies in memory (None: an eighth of what is available), `upload_share`
    (above 0, to 1) those of one client; `max_connections` is None for what the limit of open files allows.
    `photo_limits` bound the pixels of a photo and the memory for decoding; they follow the host unless they are set.
    `models` and `data` are URIs of stores; None turns off hot reload or feedback.
    `look_s` bounds one look at the store, `trial_s` and `trial_memory_bytes` the trial of a new version (None: half of
    the memory that is left); `model_names` are those of models that may serve, None for the one that serves already.
    `feedback_photos` and `feedback_bytes` bound what waits for review, `feedback_share` (above 0, to 1) what one client
    may send of both in a day.
    `teach_photos` bounds the photos of one dataset that is taught from, `teach_bytes` those of all datasets together.
    `inbox_photos` bounds the photos of uncertain and unknown answers that are kept (0: none is written), `inbox_bytes`
    their bytes together, `inbox_days` how long.
    `examples` shows example photos of the data store to everybody who may predict, not only to administrators.
    `api_keys` and `admin_keys` are SHA-256 digests in hex; without API keys anybody may predict.
    `max_request_pixels` bounds what decoding the photos of one request costs, in pixels of a WebP
    (`runtime/serving/scheduling/decoding_work.py`), `max_json_photos` the decoded pixels that come as JSON, in photos
    (None: a batch of the model).
    `heavy_processes` are the child processes for heavy photos and large JSON; with 0, threads do that work.
    `drain_s` is how long readiness is denied and requests are still answered before the shutdown begins.
    `wrong_keys` are the wrong keys that one client may send in a minute.
    `trusted_proxies` are the reverse proxies whose X-Forwarded headers count.
    `cors` are the normalised origins whose pages may use the API, `hosts` more names of this appliance.
    `path_prefix` is where a reverse proxy publishes it, such as `/meadow`.
    """

    threads: int
    workers: int
    bundle: Path | None = None
    host: str = "0.0.0.0"  # noqa: S104
    port: int = 8000
    max_upload_bytes: int = 20 * 2**20
    upload_memory_bytes: int | None = None
    upload_share: float = 0.5
    max_connections: int | None = None
    head_timeout_s: float = 10.0
    photo_limits: PhotoLimits = field(default_factory=PhotoLimits)
    max_photos: int = 128
    max_request_pixels: int = 256_000_000
    max_json_photos: int | None = None
    heavy_processes: int = 0
    upload_patience_s: float = 30.0
    drain_s: float = 0.0
    budget_s: float = 1.0
    abstain: float | None = None
    models: str | None = None
    data: str | None = None
    feedback_photos: int = 1000
    feedback_bytes: int = 512 * 2**20
    feedback_share: float = 0.25
    teach_photos: int = 10_000
    teach_bytes: int = 2048 * 2**20
    inbox_photos: int = 0
    inbox_bytes: int = 256 * 2**20
    inbox_days: float = 30.0
    examples: bool = False
    cache: Path = field(default=Path("var/cache"))
    poll_s: float = 30.0
    look_s: float = 60.0
    trial_s: float = 120.0
    trial_memory_bytes: int | None = None
    model_names: frozenset[str] | None = None
    public_key: str | None = None
    api_keys: frozenset[str] = frozenset()
    admin_keys: frozenset[str] = frozenset()
    wrong_keys: int = 5
    trusted_proxies: TrustedProxies = field(default_factory=TrustedProxies)
    cors: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    path_prefix: str = ""
