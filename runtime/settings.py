"""What an operator can set; `runtime.__main__` reads it once from the command line and the environment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Settings of one serving process. `threads` is what one inference may use; `workers` how many photos at once."""

    bundle: Path
    host: str
    port: int
    threads: int
    workers: int
    max_upload_bytes: int
    max_pixels: int
