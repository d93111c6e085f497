"""The MLflow run of a checkpoint that was trained by hand, remembered beside it; needs no MLflow to be read."""

from __future__ import annotations

from pathlib import Path

import msgspec

from training.storage.hashing import sha256_of

FILE = "mlflow.json"


class LocalRun(msgspec.Struct, frozen=True):
    """Which run, of which checkpoint."""

    run_id: str
    checkpoint_sha256: str


def remember(checkpoint: Path, run_id: str) -> None:
    """Keep the run beside its checkpoint."""
    (checkpoint.parent / FILE).write_bytes(msgspec.json.encode(LocalRun(run_id, sha256_of(checkpoint))))


def run_of(checkpoint: Path) -> str | None:
    """The run of a checkpoint; None where it has not been tracked, or another one has been trained since."""
    file = checkpoint.parent / FILE
    if not file.is_file():
        return None
    kept = msgspec.json.decode(file.read_bytes(), type=LocalRun)
    return kept.run_id if kept.checkpoint_sha256 == sha256_of(checkpoint) else None
