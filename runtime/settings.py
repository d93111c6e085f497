"""What an operator can set; `runtime.__main__` reads it once from the command line and the environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from runtime.image import DEFAULT_MAX_PIXELS


@dataclass(frozen=True)
class Settings:
    """Settings of one serving process. `threads` is what one inference may use; `workers` how many photos at once.

    `models` and `data` are URIs of stores; None where the appliance follows no models or keeps no feedback.
    `api_keys` and `admin_keys` are SHA-256 digests in hex; without API keys anybody may predict.
    """

    threads: int
    workers: int
    bundle: Path | None = None
    host: str = "0.0.0.0"  # noqa: S104
    port: int = 8000
    max_upload_bytes: int = 20 * 2**20
    max_held_bytes: int = 128 * 2**20
    max_pixels: int = DEFAULT_MAX_PIXELS
    max_photos: int = 128
    upload_patience_s: float = 30.0
    budget_s: float = 1.0
    abstain: float | None = None
    models: str | None = None
    data: str | None = None
    cache: Path = field(default=Path("var/cache"))
    poll_s: float = 30.0
    public_key: str | None = None
    api_keys: frozenset[str] = frozenset()
    admin_keys: frozenset[str] = frozenset()
